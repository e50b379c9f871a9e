//! The one generator that decides all of a run, and the types and data that it makes up.

use serde_json::{Value as Json, json};

use super::ty::{Field, NULL, Ty};

pub(super) const PRIMITIVES: [&str; 8] =
    ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

pub(super) const LOGICAL: [(&str, &str); 10] = [
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "time-micros"),
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("long", "timestamp-nanos"),
    ("long", "local-timestamp-millis"),
    ("bytes", "decimal"),
    ("bytes", "decimal-1"),
    ("string", "uuid"),
];

/// SplitMix64.
pub(crate) struct Random {
    state: u64,
    n_names: u32,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, n_names: 0 }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    /// True in `percent` of cases.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        (1..list.len()).for_each(|i| list.swap(i, self.below(i + 1)));
    }

    /// A name that nothing has yet.
    pub(super) fn name(&mut self, prefix: &str) -> String {
        self.n_names += 1;
        format!("{prefix}{}", self.n_names)
    }

    pub(super) fn record(&mut self) -> Ty {
        let fields = (0..1 + self.below(4)).map(|_| self.field(2)).collect();
        Ty::Record { name: self.name("R"), aliases: vec![], fields }
    }

    pub(super) fn field(&mut self, depth: usize) -> Field {
        Field { name: self.name("f"), aliases: vec![], ty: self.ty(depth), default: None }
    }

    pub(super) fn ty(&mut self, depth: usize) -> Ty {
        match self.below(if depth == 0 { 6 } else { 11 }) {
            0..=2 => Ty::Primitive(self.pick(&PRIMITIVES)),
            3 => {
                let (base, logical) = self.pick(&LOGICAL);
                Ty::Logical(base, logical)
            }
            4 => {
                let symbols = (0..1 + self.below(3)).map(|_| self.name("S")).collect();
                Ty::Enum { name: self.name("E"), symbols, default: None }
            }
            5 => Ty::Fixed { name: self.name("F"), aliases: vec![], size: 1 + self.below(3) },
            6 => Ty::Array(Box::new(self.ty(depth - 1))),
            7 => Ty::Map(Box::new(self.ty(depth - 1))),
            8 => {
                let fields = (0..self.below(4)).map(|_| self.field(depth - 1)).collect();
                Ty::Record { name: self.name("R"), aliases: vec![], fields }
            }
            9 => {
                let ty = self.ty(depth - 1);
                self.nullable(ty)
            }
            _ => self.union(depth - 1),
        }
    }

    pub(super) fn nullable(&mut self, ty: Ty) -> Ty {
        match ty {
            union @ Ty::Union(_) => union,
            null if null == NULL => Ty::Union(vec![null]),
            ty if self.chance(50) => Ty::Union(vec![NULL, ty]),
            ty => Ty::Union(vec![ty, NULL]),
        }
    }

    fn union(&mut self, depth: usize) -> Ty {
        let mut branches: Vec<Ty> = Vec::new();
        for _ in 0..1 + self.below(4) {
            let branch = self.ty(depth);
            if branch.base() != "union" && branches.iter().all(|other| other.branch() != branch.branch()) {
                branches.push(branch);
            }
        }
        if branches.is_empty() { self.nullable(NULL) } else { Ty::Union(branches) }
    }

    /// A value in Avro's JSON encoding.
    pub(super) fn datum(&mut self, ty: &Ty) -> Json {
        match ty {
            Ty::Logical("int", "time-millis") => json!(self.time(86_400_000)),
            Ty::Logical(_, "time-micros") => json!(self.time(86_400_000_000)),
            // Two bytes are as many as the digits need.
            Ty::Logical(_, "decimal" | "decimal-1") => {
                let number = i16::try_from(self.below(22_000)).expect("small") - 11_000;
                number.to_be_bytes().map(char::from).iter().collect::<String>().into()
            }
            Ty::Logical(_, "uuid") => json!("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            Ty::Primitive(base) | Ty::Logical(base, _) => self.primitive(base),
            Ty::Enum { symbols, .. } => json!(symbols[self.below(symbols.len())]),
            Ty::Fixed { size, .. } => self.latin1(*size),
            Ty::Array(item) => (0..self.below(3)).map(|_| self.datum(item)).collect(),
            Ty::Map(value) => {
                let entries = (0..self.below(3)).map(|i| (format!("k{i}"), self.datum(value)));
                entries.collect::<serde_json::Map<_, _>>().into()
            }
            Ty::Record { fields, .. } => {
                let fields = fields.iter().map(|field| (field.name.clone(), self.datum(&field.ty)));
                fields.collect::<serde_json::Map<_, _>>().into()
            }
            Ty::Union(branches) => {
                let branch = &branches[self.below(branches.len())];
                if *branch == NULL { Json::Null } else { json!({ branch.branch(): self.datum(branch) }) }
            }
        }
    }

    /// Hardly ever outside its day.
    fn time(&mut self, day: usize) -> usize {
        if self.chance(3) { day } else { self.below(day) }
    }

    fn primitive(&mut self, base: &str) -> Json {
        match base {
            "null" => Json::Null,
            "boolean" => json!(self.chance(50)),
            "int" => {
                let random = self.next() as i32;
                json!(self.pick(&[0, -1, 63, 64, i32::MIN, i32::MAX, random]))
            }
            "long" => {
                let random = self.next().cast_signed();
                json!(self.pick(&[0, -1, 16_777_217, 1 << 32, i64::MIN, i64::MAX, random]))
            }
            "float" | "double" => json!((self.below(2_000) as f64 - 1_000.0) / 8.0),
            "bytes" => {
                let length = self.below(4);
                self.latin1(length)
            }
            _ => json!(self.pick(&["", "a", "é", "ab", "日本", "\u{0}"])),
        }
    }

    fn latin1(&mut self, length: usize) -> Json {
        // Mostly UTF-8, as a string would want it.
        let limit = if self.chance(80) { 128 } else { 256 };
        let bytes = (0..length).map(|_| char::from(u8::try_from(self.below(limit)).expect("below 256")));
        bytes.collect::<String>().into()
    }

    /// A default in JSON: of a union's first branch, and of no bytes above 127, where apache-avro is wrong.
    pub(super) fn default(&mut self, ty: &Ty) -> Json {
        match ty {
            Ty::Union(branches) => self.default(&branches[0]),
            Ty::Array(item) => (0..self.below(2)).map(|_| self.default(item)).collect(),
            Ty::Map(value) => (0..self.below(2))
                .map(|_| ("k".to_owned(), self.default(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Ty::Record { fields, .. } => {
                let fields = fields.iter().map(|field| (field.name.clone(), self.default(&field.ty)));
                fields.collect::<serde_json::Map<_, _>>().into()
            }
            Ty::Fixed { size, .. } => json!("z".repeat(*size)),
            Ty::Primitive("bytes") => json!("by"),
            Ty::Logical(_, "decimal" | "decimal-1") => json!("\u{3}\u{e8}"),
            Ty::Logical("int", "time-millis") => json!(7),
            Ty::Logical(_, "time-micros") => json!(8),
            other => self.datum(other),
        }
    }
}
