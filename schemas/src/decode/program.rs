//! A plan as a flat list of operations: what is done for each record, without a tree to walk.
//!
//! Parts that are chosen (union branches) or repeated (items) are ranges of the list, reached by jumps.
//!
//! Invariant: following a program accepts the bytes that [`super::walk`] accepts for the plan that it is of.

use std::collections::BTreeSet;

use super::block::Step;
use super::layout::Layout;
use crate::resolve::plan::{Decimal, Plan, RecordPlan, Symbol, Time};

/// Named types inside each other that are made part of a program; deeper ones are walked.
const MAX_INLINED: usize = 8;

/// Operations of a program; what would make it longer is walked.
const MAX_OPS: usize = 20_000;

/// What to do with the next bytes. A `slot` is an index into the columns' slots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Op {
    Long {
        slot: u32,
    },
    Text {
        slot: u32,
    },
    Int {
        slot: u32,
    },
    Double {
        slot: u32,
    },
    SkipLongs {
        n: u32,
    },
    SkipTexts {
        n: u32,
    },
    SkipFixed {
        n: u32,
    },
    /// The branch of a union of null and something else. Null is at index `null`: a null is appended, unless
    /// `slot` is [`NO_SLOT`], and the program goes on at `to`; else it goes on.
    Nullable {
        slot: u32,
        null: u8,
        to: u32,
    },
    Branch(Branch),
    Rare(Rare),
}

/// Operations that choose or repeat others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Branch {
    /// The branch of any union: the program goes on at the target of that branch.
    Union {
        first: u32,
        n: u32,
    },
    Jump {
        to: u32,
    },
    /// The first block of an array or map. None: the entry ends, and the program goes on at `to`.
    Items {
        slot: u32,
        to: u32,
    },
    /// The end of an item. Is there another one, the program goes on at `begin`; else the entry ends.
    NextItem {
        slot: u32,
        begin: u32,
    },
}

/// Operations of values that are less common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rare {
    Bytes {
        slot: u32,
    },
    Boolean {
        slot: u32,
    },
    Float {
        slot: u32,
    },
    IntToLong {
        slot: u32,
    },
    IntToFloat {
        slot: u32,
    },
    IntToDouble {
        slot: u32,
    },
    LongToFloat {
        slot: u32,
    },
    LongToDouble {
        slot: u32,
    },
    FloatToDouble {
        slot: u32,
    },
    Fixed {
        slot: u32,
        n: u32,
    },
    UuidText {
        slot: u32,
    },
    Decimal {
        slot: u32,
        decimal: u32,
    },
    Enum {
        slot: u32,
        symbols: u32,
    },
    Time {
        slot: u32,
        of: Time,
    },
    SkipInt,
    SkipBytes,
    SkipBoolean,
    SkipDecimal {
        decimal: u32,
    },
    SkipEnum {
        symbols: u32,
    },
    SkipTime {
        of: Time,
    },
    /// No bytes: an entry of a struct without columns.
    Struct {
        slot: u32,
    },
    /// No bytes: an entry of a union, of that branch, whose value follows.
    Variant {
        slot: u32,
        branch: u32,
    },
    /// No bytes: a null.
    Null {
        slot: u32,
    },
    /// No bytes: what the writer lacks.
    Default {
        index: u32,
    },
    /// A value that only the writer has, of a type that may contain itself.
    Walk {
        index: u32,
    },
    /// A value that the reader schema has no place for.
    Refuse,
    /// Plan and columns do not belong together.
    Shape,
}

impl Op {
    /// Where its value goes.
    pub(crate) fn slot(self) -> Option<u32> {
        match self {
            Self::Long { slot } | Self::Text { slot } | Self::Int { slot } | Self::Double { slot } => {
                Some(slot)
            }
            _ => None,
        }
    }
}

impl Rare {
    /// Where its value goes.
    #[inline(always)]
    pub(crate) fn slot(self) -> Option<u32> {
        use Rare::*;
        match self {
            Bytes { slot }
            | Boolean { slot }
            | Float { slot }
            | IntToLong { slot }
            | IntToFloat { slot }
            | IntToDouble { slot }
            | LongToFloat { slot }
            | LongToDouble { slot }
            | FloatToDouble { slot }
            | Fixed { slot, .. }
            | UuidText { slot }
            | Decimal { slot, .. }
            | Enum { slot, .. }
            | Time { slot, .. }
            | Variant { slot, .. }
            | Struct { slot }
            | Null { slot } => Some(slot),
            SkipInt
            | SkipBytes
            | SkipBoolean
            | SkipDecimal { .. }
            | SkipEnum { .. }
            | SkipTime { .. }
            | Default { .. }
            | Walk { .. }
            | Refuse
            | Shape => None,
        }
    }
}

/// No slot: the value is only checked.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// The operations of a plan, with what they refer to.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) ops: Vec<Op>,
    /// See [`Program::steps`].
    pub(crate) steps: Vec<Step>,
    /// The slots that its texts are read into.
    pub(crate) texts: Vec<u32>,
    /// Of unions, one behind the other: where their branches begin.
    pub(crate) targets: Vec<u32>,
    pub(crate) symbols: Vec<Vec<Symbol>>,
    pub(crate) decimals: Vec<Decimal>,
    pub(crate) walks: Vec<Walked>,
    pub(crate) defaults: Vec<Default>,
}

/// What is left to [`super::walk`].
#[derive(Debug)]
pub(crate) struct Walked {
    /// Index of the type.
    pub(crate) index: usize,
    /// In how many named types that only the writer has.
    pub(crate) nesting: usize,
}

/// The default of a column, as bytes and the program that reads them.
#[derive(Debug)]
pub(crate) struct Default {
    pub(crate) bytes: Vec<u8>,
    pub(crate) program: Program,
}

impl Program {
    /// The program of `root`, a record or a union of records, into the columns of `layout`.
    pub(crate) fn new(root: &Plan, types: &[Plan], layout: &Layout) -> Self {
        let mut compiler = Compiler { types, layout, open: Vec::new(), landing: 0, program: Self::default() };
        compiler.root(root);
        Self { steps: compiler.program.steps(), ..compiler.finish() }
    }

    fn texts(&self) -> Vec<u32> {
        let slots = self.ops.iter().filter(|op| matches!(op, Op::Text { .. })).filter_map(|op| op.slot());
        slots.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

struct Compiler<'a> {
    types: &'a [Plan],
    layout: &'a Layout,
    /// The writer's named types that the compiler is inside of.
    open: Vec<usize>,
    /// Operations in front of this one may not be changed any more: something jumps behind them.
    landing: usize,
    program: Program,
}

impl Compiler<'_> {
    fn finish(self) -> Program {
        Program { texts: self.program.texts(), ..self.program }
    }

    fn root(&mut self, plan: &Plan) {
        match plan {
            Plan::Record(record) => {
                let layout = self.layout;
                self.record(record, Some(&layout.roots));
            }
            Plan::Union(branches) => self.union(branches, &mut Self::root),
            Plan::Mismatch(_) => self.rare(Rare::Refuse),
            _ => self.rare(Rare::Shape),
        }
    }

    /// The fields of a record into `columns`, or over them.
    fn record(&mut self, record: &RecordPlan, columns: Option<&[usize]>) {
        let slot = |column: usize| columns.and_then(|columns| columns.get(column).copied());
        for field in &record.fields {
            match field.column.map(slot) {
                Some(Some(slot)) => self.read(&field.plan, slot),
                Some(None) if columns.is_some() => self.rare(Rare::Shape),
                _ => self.skip(&field.plan),
            }
        }
        if columns.is_none() {
            return;
        }
        for default in &record.defaults {
            match slot(default.column) {
                Some(slot) => self.default(&default.plan, &default.bytes, slot),
                None => self.rare(Rare::Shape),
            }
        }
    }

    fn default(&mut self, plan: &Plan, bytes: &[u8], slot: usize) {
        if let (Plan::Union(branches), [byte]) = (plan, bytes)
            && let Some(Plan::SetNull) = branches.get(usize::from(*byte) / 2)
        {
            return self.rare(Rare::Null { slot: number(slot) });
        }
        let mut compiler = Compiler {
            types: &[],
            layout: self.layout,
            open: Vec::new(),
            landing: 0,
            program: Program::default(),
        };
        compiler.read(plan, slot);
        let default = Default { bytes: bytes.to_vec(), program: compiler.finish() };
        let index = keep(&mut self.program.defaults, default);
        self.rare(Rare::Default { index });
    }

    /// A value into a slot.
    fn read(&mut self, plan: &Plan, at: usize) {
        let slot = number(at);
        let layout = self.layout;
        let place = &layout.slots[at];
        match plan {
            Plan::Nullable(value) => self.read(value, at),
            Plan::Variant(branch, value) => match place.children.get(*branch) {
                Some(&child) => {
                    self.rare(Rare::Variant { slot, branch: number(*branch) });
                    self.read(value, child);
                }
                None => self.rare(Rare::Shape),
            },
            Plan::Union(branches) => match &branches[..] {
                [Plan::SetNull, value] => self.nullable(0, slot, |c| c.read(value, at)),
                [value, Plan::SetNull] => self.nullable(1, slot, |c| c.read(value, at)),
                branches => self.union(branches, &mut |c, branch| c.read(branch, at)),
            },
            Plan::Record(record) => {
                if place.children.is_empty() {
                    self.rare(Rare::Struct { slot });
                }
                self.record(record, Some(&place.children));
            }
            Plan::Array(item) => match place.children[..] {
                [child] => self.items(slot, |c| c.read(item, child)),
                _ => self.rare(Rare::Shape),
            },
            Plan::Map(value) => match place.children[..] {
                [keys, values] => self.items(slot, |c| {
                    c.push(Op::Text { slot: number(keys) });
                    c.read(value, values);
                }),
                _ => self.rare(Rare::Shape),
            },
            Plan::Long => self.push(Op::Long { slot }),
            Plan::Int => self.push(Op::Int { slot }),
            Plan::Double => self.push(Op::Double { slot }),
            Plan::Text => self.push(Op::Text { slot }),
            scalar => {
                let rare = self.read_rare(scalar, slot);
                self.rare(rare);
            }
        }
    }

    fn read_rare(&mut self, plan: &Plan, slot: u32) -> Rare {
        match plan {
            Plan::Null | Plan::SetNull => Rare::Null { slot },
            Plan::Bytes => Rare::Bytes { slot },
            Plan::Boolean => Rare::Boolean { slot },
            Plan::Float => Rare::Float { slot },
            Plan::IntToLong => Rare::IntToLong { slot },
            Plan::IntToFloat => Rare::IntToFloat { slot },
            Plan::IntToDouble => Rare::IntToDouble { slot },
            Plan::LongToFloat => Rare::LongToFloat { slot },
            Plan::LongToDouble => Rare::LongToDouble { slot },
            Plan::FloatToDouble => Rare::FloatToDouble { slot },
            Plan::Fixed(n) => Rare::Fixed { slot, n: number(*n) },
            Plan::UuidText => Rare::UuidText { slot },
            Plan::Decimal(decimal) => {
                Rare::Decimal { slot, decimal: keep(&mut self.program.decimals, *decimal) }
            }
            Plan::Enum(symbols) => {
                Rare::Enum { slot, symbols: keep(&mut self.program.symbols, symbols.clone()) }
            }
            Plan::Time(of) => Rare::Time { slot, of: *of },
            Plan::Mismatch(_) => Rare::Refuse,
            _ => Rare::Shape,
        }
    }

    /// A value that nobody wants.
    fn skip(&mut self, plan: &Plan) {
        match plan {
            Plan::Null | Plan::SetNull => {}
            Plan::Long | Plan::LongToFloat | Plan::LongToDouble => self.push(Op::SkipLongs { n: 1 }),
            Plan::Text => self.push(Op::SkipTexts { n: 1 }),
            Plan::Float | Plan::FloatToDouble => self.push(Op::SkipFixed { n: 4 }),
            Plan::Double => self.push(Op::SkipFixed { n: 8 }),
            Plan::Fixed(n) => self.push(Op::SkipFixed { n: number(*n) }),
            Plan::UuidText => self.push(Op::SkipFixed { n: 16 }),
            Plan::Int | Plan::IntToLong | Plan::IntToFloat | Plan::IntToDouble => self.rare(Rare::SkipInt),
            Plan::Time(of) => self.rare(Rare::SkipTime { of: *of }),
            Plan::Bytes => self.rare(Rare::SkipBytes),
            Plan::Boolean => self.rare(Rare::SkipBoolean),
            Plan::Decimal(decimal) => {
                let decimal = keep(&mut self.program.decimals, *decimal);
                self.rare(Rare::SkipDecimal { decimal });
            }
            Plan::Enum(symbols) => {
                let symbols = keep(&mut self.program.symbols, symbols.clone());
                self.rare(Rare::SkipEnum { symbols });
            }
            Plan::Array(item) => self.items(NO_SLOT, |c| c.skip(item)),
            Plan::Map(value) => self.items(NO_SLOT, |c| {
                c.push(Op::SkipTexts { n: 1 });
                c.skip(value);
            }),
            Plan::Record(record) => self.record(record, None),
            Plan::Union(branches) => match &branches[..] {
                [Plan::Null | Plan::SetNull, value] => self.nullable(0, NO_SLOT, |c| c.skip(value)),
                [value, Plan::Null | Plan::SetNull] => self.nullable(1, NO_SLOT, |c| c.skip(value)),
                branches => self.union(branches, &mut Self::skip),
            },
            Plan::Nullable(value) | Plan::Variant(_, value) => self.skip(value),
            Plan::Mismatch(_) => self.rare(Rare::Refuse),
            Plan::Type(index) => self.skip_type(*index),
        }
    }

    fn skip_type(&mut self, index: usize) {
        let fits = self.open.len() < MAX_INLINED && self.program.ops.len() < MAX_OPS;
        match self.types.get(index) {
            None => self.rare(Rare::Shape),
            // Values without bytes are counted where they are walked.
            Some(plan) if fits && !self.open.contains(&index) && self.has_bytes(plan, 0) => {
                self.open.push(index);
                self.skip(plan);
                self.open.pop();
            }
            Some(_) => {
                let nesting = self.open.len();
                let index = keep(&mut self.program.walks, Walked { index, nesting });
                self.rare(Rare::Walk { index });
            }
        }
    }

    /// Whether each value takes a byte at least.
    fn has_bytes(&self, plan: &Plan, depth: usize) -> bool {
        match plan {
            Plan::Null | Plan::SetNull | Plan::Mismatch(_) => false,
            Plan::Fixed(n) => 0 < *n,
            Plan::Decimal(decimal) => decimal.size != Some(0),
            Plan::Nullable(value) | Plan::Variant(_, value) => self.has_bytes(value, depth),
            Plan::Record(record) => record.fields.iter().any(|field| self.has_bytes(&field.plan, depth)),
            Plan::Type(index) => {
                depth < MAX_INLINED
                    && self.types.get(*index).is_some_and(|plan| self.has_bytes(plan, depth + 1))
            }
            _ => true,
        }
    }

    fn nullable(&mut self, null: u8, slot: u32, value: impl FnOnce(&mut Self)) {
        let at = self.push_fixed(Op::Nullable { slot, null, to: 0 });
        value(self);
        let end = self.land();
        self.program.ops[at] = Op::Nullable { slot, null, to: end };
    }

    fn union(&mut self, branches: &[Plan], value: &mut dyn FnMut(&mut Self, &Plan)) {
        let first = self.program.targets.len();
        self.program.targets.resize(first + branches.len(), 0);
        self.push_fixed(Op::Branch(Branch::Union { first: number(first), n: number(branches.len()) }));
        let mut jumps = Vec::new();
        for (target, branch) in (first..).zip(branches) {
            self.program.targets[target] = self.land();
            value(self, branch);
            jumps.push(self.push_fixed(Op::Branch(Branch::Jump { to: 0 })));
        }
        let end = self.land();
        for jump in jumps {
            self.program.ops[jump] = Op::Branch(Branch::Jump { to: end });
        }
    }

    fn items(&mut self, slot: u32, item: impl FnOnce(&mut Self)) {
        let at = self.push_fixed(Op::Branch(Branch::Items { slot, to: 0 }));
        let begin = self.land();
        item(self);
        self.push_fixed(Op::Branch(Branch::NextItem { slot, begin }));
        let end = self.land();
        self.program.ops[at] = Op::Branch(Branch::Items { slot, to: end });
    }

    fn rare(&mut self, op: Rare) {
        self.push(Op::Rare(op));
    }

    /// Appends an operation, or makes it part of the last one.
    fn push(&mut self, op: Op) {
        let mergeable = self.landing < self.program.ops.len();
        match (self.program.ops.last_mut().filter(|_| mergeable), op) {
            (Some(Op::SkipLongs { n }), Op::SkipLongs { n: more })
            | (Some(Op::SkipTexts { n }), Op::SkipTexts { n: more })
            | (Some(Op::SkipFixed { n }), Op::SkipFixed { n: more }) => *n = n.saturating_add(more),
            _ => self.program.ops.push(op),
        }
    }

    /// Appends an operation whose place is known afterwards.
    fn push_fixed(&mut self, op: Op) -> usize {
        self.program.ops.push(op);
        self.landing = self.program.ops.len();
        self.program.ops.len() - 1
    }

    /// Where the next operation will be, for something that jumps there.
    fn land(&mut self) -> u32 {
        self.landing = self.program.ops.len();
        number(self.landing)
    }
}

fn keep<T>(list: &mut Vec<T>, value: T) -> u32 {
    list.push(value);
    number(list.len() - 1)
}

/// Slots, operations and what they refer to are bounded far below 2^32, by the limits on schemas.
fn number(n: usize) -> u32 {
    u32::try_from(n).expect("limits on schemas keep it small")
}
