//! What an expression is as SQL, and what it makes of a row: the reference evaluator.

use super::{Expr, Ty, Value, Verdict};

impl Expr {
    pub(super) fn sql(&self) -> String {
        match self {
            Self::Column(column) => format!("c{column}"),
            Self::Literal(ty, value) => literal(*ty, *value),
            // Its result is wider than its operands.
            Self::Arithmetic(Ty::Decimal, op, left, right) => {
                format!("CAST(({} {op} {}) AS DECIMAL(18, 2))", left.sql(), right.sql())
            }
            Self::Arithmetic(_, op, left, right) => format!("({} {op} {})", left.sql(), right.sql()),
            Self::Negative(inner, _) => format!("(- {})", inner.sql()),
            Self::Abs(inner, _) => format!("abs({})", inner.sql()),
            Self::Cast(inner, _, to) => format!("CAST({} AS {})", inner.sql(), to.sql()),
            Self::Compare(op, left, right) => format!("({} {op} {})", left.sql(), right.sql()),
            Self::And(left, right) => format!("({} AND {})", left.sql(), right.sql()),
            Self::Or(left, right) => format!("({} OR {})", left.sql(), right.sql()),
            Self::Not(inner) => format!("(NOT {})", inner.sql()),
            Self::IsNull(inner) => format!("({} IS NULL)", inner.sql()),
            Self::Case(arms, other) => format!("(CASE {})", arms_sql(arms, other)),
            Self::CaseOf(operand, arms, other) => {
                format!("(CASE {} {})", operand.sql(), arms_sql(arms, other))
            }
            Self::Coalesce(list) => format!("coalesce({})", list_sql(list)),
            Self::NullIf(left, right) => format!("nullif({}, {})", left.sql(), right.sql()),
            Self::Nvl2(tested, present, absent) => {
                format!("nvl2({}, {}, {})", tested.sql(), present.sql(), absent.sql())
            }
            Self::Between(operand, low, high, negated) => {
                let not = if *negated { "NOT " } else { "" };
                format!("({} {not}BETWEEN {} AND {})", operand.sql(), low.sql(), high.sql())
            }
            Self::In(operand, list, negated) => {
                let not = if *negated { "NOT " } else { "" };
                format!("({} {not}IN ({}))", operand.sql(), list_sql(list))
            }
        }
    }

    pub(super) fn verdict(&self, row: &[Value]) -> Verdict {
        let bool_of = |value: Option<bool>| Ok(value.map_or(Value::Null, Value::Bool));
        match self {
            Self::Column(column) => Ok(row[*column]),
            Self::Literal(_, value) => Ok(*value),
            Self::Arithmetic(ty, op, left, right) => {
                arithmetic(*ty, *op, left.verdict(row)?, right.verdict(row)?)
            }
            Self::Negative(inner, ty) => arithmetic(*ty, '_', Value::Null, inner.verdict(row)?),
            Self::Abs(inner, ty) => arithmetic(*ty, '|', Value::Null, inner.verdict(row)?),
            Self::Cast(inner, from, to) => convert(inner.verdict(row)?, *from, *to),
            Self::Compare(op, left, right) => bool_of(compare(op, left.verdict(row)?, right.verdict(row)?)),
            Self::And(left, right) => decide(left.verdict(row), right.verdict(row), false),
            Self::Or(left, right) => decide(left.verdict(row), right.verdict(row), true),
            Self::Not(inner) => Ok(match inner.verdict(row)? {
                Value::Bool(value) => Value::Bool(!value),
                other => other,
            }),
            Self::IsNull(inner) => Ok(Value::Bool(inner.verdict(row)? == Value::Null)),
            Self::Case(arms, other) => {
                for (when, then) in arms {
                    if when.verdict(row)? == Value::Bool(true) {
                        return then.verdict(row);
                    }
                }
                other.verdict(row)
            }
            Self::CaseOf(operand, arms, other) => {
                let operand = operand.verdict(row)?;
                // NULL is equal to nothing, so nothing is compared with it.
                let arms = if operand == Value::Null { &[] } else { arms.as_slice() };
                for (when, then) in arms {
                    if compare("=", operand, when.verdict(row)?) == Some(true) {
                        return then.verdict(row);
                    }
                }
                other.verdict(row)
            }
            Self::Coalesce(list) => {
                for expr in list {
                    let value = expr.verdict(row)?;
                    if value != Value::Null {
                        return Ok(value);
                    }
                }
                Ok(Value::Null)
            }
            Self::NullIf(left, right) => {
                let (left, right) = (left.verdict(row)?, right.verdict(row)?);
                Ok(if compare("=", left, right) == Some(true) { Value::Null } else { left })
            }
            Self::Nvl2(tested, present, absent) => {
                let is_absent = tested.verdict(row)? == Value::Null;
                if is_absent { absent.verdict(row) } else { present.verdict(row) }
            }
            Self::Between(operand, low, high, negated) => {
                let side = |op, bound: &Expr| -> Verdict {
                    bool_of(compare(op, operand.verdict(row)?, bound.verdict(row)?))
                };
                if *negated {
                    decide(side("<", low), side(">", high), true)
                } else {
                    decide(side(">=", low), side("<=", high), false)
                }
            }
            Self::In(operand, list, negated) => {
                let op = if *negated { "<>" } else { "=" };
                let sides = list.iter().map(|item| -> Verdict {
                    bool_of(compare(op, operand.verdict(row)?, item.verdict(row)?))
                });
                sides.reduce(|left, right| decide(left, right, !negated)).expect("the list has an item")
            }
        }
    }
}

fn arms_sql(arms: &[(Expr, Expr)], other: &Expr) -> String {
    let arms: Vec<String> =
        arms.iter().map(|(when, then)| format!("WHEN {} THEN {}", when.sql(), then.sql())).collect();
    format!("{} ELSE {} END", arms.join(" "), other.sql())
}

fn list_sql(list: &[Expr]) -> String {
    list.iter().map(Expr::sql).collect::<Vec<_>>().join(", ")
}

fn literal(ty: Ty, value: Value) -> String {
    let text = match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(value) => return value.to_string(),
        Value::Double(value) => format!("'{value}'"),
        Value::Int(value) if ty == Ty::Decimal => {
            let sign = if value < 0 { "-" } else { "" };
            format!("'{sign}{}.{:02}'", value.abs() / 100, value.abs() % 100)
        }
        Value::Int(value) => value.to_string(),
    };
    format!("CAST({text} AS {})", ty.sql())
}

/// AND (`winner` false) or OR (`winner` true): the winner wins over an error and over NULL.
fn decide(left: Verdict, right: Verdict, winner: bool) -> Verdict {
    let wins = Ok(Value::Bool(winner));
    if left == wins || right == wins {
        return wins;
    }
    let (left, right) = (left?, right?);
    Ok(if left == Value::Null { left } else { right })
}

fn compare(op: &str, left: Value, right: Value) -> Option<bool> {
    match op {
        "IS DISTINCT FROM" => return Some(compare("IS NOT DISTINCT FROM", left, right) == Some(false)),
        "IS NOT DISTINCT FROM" if left == Value::Null || right == Value::Null => return Some(left == right),
        _ => {}
    }
    let order = match (left, right) {
        (Value::Int(left), Value::Int(right)) => left.cmp(&right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(&right),
        // NaN is equal to itself and the largest; adding 0 takes the sign from -0.
        (Value::Double(left), Value::Double(right)) if left.is_nan() && right.is_nan() => 0.cmp(&0),
        (Value::Double(left), Value::Double(right)) => (left + 0.0).total_cmp(&(right + 0.0)),
        _ => return None,
    };
    Some(match op {
        "=" | "IS NOT DISTINCT FROM" => order.is_eq(),
        "<>" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })
}

/// `_` negates the right side, `|` is its absolute value.
fn arithmetic(ty: Ty, op: char, left: Value, right: Value) -> Verdict {
    let (left, right) = match (op, left, right) {
        ('_' | '|', _, Value::Int(right)) => (0, right),
        ('_', _, Value::Double(right)) => return Ok(Value::Double(-right)),
        ('|', _, Value::Double(right)) => return Ok(Value::Double(right.abs())),
        (_, Value::Int(left), Value::Int(right)) => (left, right),
        (_, Value::Double(left), Value::Double(right)) => {
            return Ok(Value::Double(match op {
                '+' => left + right,
                '-' => left - right,
                '*' => left * right,
                '/' => left / right,
                _ => left % right,
            }));
        }
        _ => return Ok(Value::Null),
    };
    if right == 0 && matches!(op, '/' | '%') {
        return Err(());
    }
    let result = match op {
        '+' => left + right,
        '-' | '_' => left - right,
        '|' => right.abs(),
        '*' if ty == Ty::Decimal => divide_rounded(left * right, 100),
        '*' => left.checked_mul(right).ok_or(())?,
        '/' => left / right,
        _ => left % right,
    };
    fits(result, ty)
}

fn fits(value: i128, ty: Ty) -> Verdict {
    let (min, max) = ty.range().expect("a number");
    if min <= value && value <= max { Ok(Value::Int(value)) } else { Err(()) }
}

/// Half away from zero.
fn divide_rounded(value: i128, by: i128) -> i128 {
    (value + value.signum() * (by / 2)) / by
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "as SQL's casts do")]
fn convert(value: Value, from: Ty, to: Ty) -> Verdict {
    match value {
        Value::Int(value) if to == Ty::Double => Ok(Value::Double(value as f64)),
        Value::Int(value) if from == Ty::Decimal && to != Ty::Decimal => fits(value / 100, to),
        Value::Int(value) if from != Ty::Decimal && to == Ty::Decimal => fits(value * 100, to),
        Value::Int(value) => fits(value, to),
        Value::Double(value) if value.is_finite() => fits(value.trunc() as i128, to),
        Value::Double(_) => Err(()),
        other => Ok(other),
    }
}
