//! Random expressions, of values that matter.

use super::{Expr, TYPES, Ty, Value};

/// Decisions of the generator: a shorter list makes a smaller expression, so that failures shrink.
pub(super) struct Choices<'a>(pub(super) std::slice::Iter<'a, u16>);

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        usize::from(*self.0.next().unwrap_or(&0)) % n
    }

    pub(super) fn type_(&mut self) -> Ty {
        TYPES[self.below(TYPES.len())]
    }

    fn pair(&mut self, ty: Ty, depth: usize) -> (Box<Expr>, Box<Expr>) {
        (Box::new(self.expr(ty, depth)), Box::new(self.expr(ty, depth)))
    }

    pub(super) fn expr(&mut self, ty: Ty, depth: usize) -> Expr {
        let kind = if depth == 0 { 0 } else { self.below(14) };
        let depth = depth.saturating_sub(1);
        let boxed = |expr| Box::new(expr);
        match kind {
            0 | 1 => match TYPES.iter().position(|known| *known == ty) {
                Some(column) if self.below(3) < 2 => Expr::Column(column),
                _ => Expr::Literal(ty, value(ty, self.below(9))),
            },
            2 => {
                let n = self.below(2) + 1;
                let arms = (0..n).map(|_| (self.expr(Ty::Bool, depth), self.expr(ty, depth))).collect();
                Expr::Case(arms, boxed(self.expr(ty, depth)))
            }
            3 => {
                let of = TYPES[self.below(8)];
                let operand = boxed(self.expr(of, depth));
                let n = self.below(2) + 1;
                let arms = (0..n).map(|_| (self.expr(of, depth), self.expr(ty, depth))).collect();
                Expr::CaseOf(operand, arms, boxed(self.expr(ty, depth)))
            }
            4 => Expr::Coalesce((0..self.below(2) + 2).map(|_| self.expr(ty, depth)).collect()),
            5 if self.below(2) == 0 => {
                let (present, absent) = self.pair(ty, depth);
                Expr::Nvl2(boxed(self.expr(ty, depth)), present, absent)
            }
            5 => {
                let (left, right) = self.pair(ty, if ty == Ty::Double { 0 } else { depth });
                Expr::NullIf(left, right)
            }
            _ if ty == Ty::Bool => self.predicate(kind, depth),
            6 if ty.is_integer() => {
                let from = [Ty::Double, Ty::Decimal, Ty::I64, Ty::U64, Ty::I8][self.below(5)];
                Expr::Cast(boxed(self.expr(from, depth)), from, ty)
            }
            6 => {
                let from = TYPES[self.below(8)];
                Expr::Cast(boxed(self.expr(from, depth)), from, ty)
            }
            7 if !matches!(ty, Ty::U8 | Ty::U16 | Ty::U32 | Ty::U64) => {
                Expr::Negative(boxed(self.expr(ty, depth)), ty)
            }
            8 => Expr::Abs(boxed(self.expr(ty, depth)), ty),
            _ => {
                // Without NaN, whose sign Arrow's comparisons tell.
                let n = if matches!(ty, Ty::Decimal | Ty::Double) { 3 } else { 5 };
                let op = ['+', '-', '*', '/', '%'][self.below(n)];
                let (left, right) = self.pair(ty, depth);
                Expr::Arithmetic(ty, op, left, right)
            }
        }
    }

    fn predicate(&mut self, kind: usize, depth: usize) -> Expr {
        match kind {
            6 | 7 => {
                let (left, right) = self.pair(Ty::Bool, depth);
                Expr::And(left, right)
            }
            8 | 9 => {
                let (left, right) = self.pair(Ty::Bool, depth);
                Expr::Or(left, right)
            }
            10 => Expr::Not(Box::new(self.expr(Ty::Bool, depth))),
            11 => {
                let of = self.type_();
                match self.below(3) {
                    0 => Expr::IsNull(Box::new(self.expr(of, depth))),
                    n => {
                        let (low, high) = self.pair(of, depth);
                        Expr::Between(Box::new(self.expr(of, depth)), low, high, n == 1)
                    }
                }
            }
            12 => {
                // Comparisons take -0 and 0 for the same, IN does not.
                let of = TYPES[self.below(8)];
                let operand = Box::new(self.expr(of, depth));
                let list = (0..self.below(5) + 1).map(|_| self.expr(of, depth)).collect();
                Expr::In(operand, list, self.below(2) == 0)
            }
            _ => {
                const OPERATORS: [&str; 8] =
                    ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"];
                let op = OPERATORS[self.below(OPERATORS.len())];
                let of = self.type_();
                let (left, right) = self.pair(of, depth);
                Expr::Compare(op, left, right)
            }
        }
    }
}

/// One of nine values that matter.
pub(super) fn value(ty: Ty, which: usize) -> Value {
    match ty {
        Ty::Bool => match which {
            2 => Value::Null,
            _ => Value::Bool(which.is_multiple_of(2)),
        },
        Ty::Double => match which {
            0 => Value::Double(0.0),
            1 => Value::Double(1.5),
            2 => Value::Null,
            3 => Value::Double(-2.0),
            4 => Value::Double(0.25),
            5 => Value::Double(127.5),
            6 => Value::Double(300.7),
            7 => Value::Double(-1e19),
            _ => Value::Double(2.5),
        },
        _ => {
            let (min, max) = ty.range().expect("a number");
            match which {
                0 => Value::Int(0),
                1 => Value::Int(1),
                2 => Value::Null,
                3 => Value::Int(min),
                4 => Value::Int(max),
                5 => Value::Int((-1).max(min)),
                6 => Value::Int(7),
                7 => Value::Int(100),
                _ => Value::Int(max / 2 + 1),
            }
        }
    }
}
