//! A reader schema from a writer schema, by random steps: what a registry would let pass, and what it would not.

use super::random::{LOGICAL, PRIMITIVES, Random};
use super::ty::{Field, NULL, Ty};

/// A reader schema for data of `writer`.
pub(super) fn evolve(random: &mut Random, writer: &Ty) -> Ty {
    // Few steps, or no two schemas would fit.
    let percent = random.pick(&[0, 5, 15, 30]);
    let reader = Steps { random, percent }.ty(writer);
    if reader.is_plain() || random.chance(50) { reader } else { Steps { random, percent }.plain(reader) }
}

struct Steps<'r> {
    random: &'r mut Random,
    /// Of types that change.
    percent: usize,
}

impl Steps<'_> {
    fn step(&mut self) -> bool {
        self.random.chance(self.percent)
    }

    fn ty(&mut self, ty: &Ty) -> Ty {
        if self.step() && self.random.chance(30) {
            return self.random.nullable(ty.clone());
        }
        match ty {
            Ty::Primitive(base) if self.step() => self.other_primitive(base),
            Ty::Logical(base, _) if self.step() => match self.random.below(3) {
                0 => Ty::Primitive(base),
                1 => self.other_primitive(base),
                _ => {
                    let (base, logical) = self.random.pick(&LOGICAL);
                    Ty::Logical(base, logical)
                }
            },
            Ty::Primitive(_) | Ty::Logical(..) => ty.clone(),
            Ty::Enum { name, symbols, default } => self.symbols(name, symbols, default.as_ref()),
            Ty::Fixed { name, aliases, size } if self.step() => match self.random.below(4) {
                0 => Ty::Fixed { name: name.clone(), aliases: aliases.clone(), size: size + 1 },
                1 => Ty::Fixed { name: self.random.name("F"), aliases: vec![], size: *size },
                2 => Ty::Fixed { name: self.random.name("F"), aliases: vec![name.clone()], size: *size },
                _ => Ty::Primitive(self.random.pick(&["bytes", "string"])),
            },
            Ty::Fixed { .. } => ty.clone(),
            Ty::Array(item) => {
                if self.step() && self.random.chance(20) {
                    return Ty::Map(Box::new(self.ty(item)));
                }
                Ty::Array(Box::new(self.ty(item)))
            }
            Ty::Map(value) => {
                if self.step() && self.random.chance(40) {
                    let mut field = self.random.field(0);
                    (field.name, field.ty) = ("k0".into(), self.ty(value));
                    return Ty::Record { name: self.random.name("R"), aliases: vec![], fields: vec![field] };
                }
                Ty::Map(Box::new(self.ty(value)))
            }
            Ty::Record { name, aliases, fields } => self.record(name, aliases, fields),
            Ty::Union(branches) => self.union(branches),
        }
    }

    fn other_primitive(&mut self, base: &str) -> Ty {
        if self.random.chance(25) {
            let logical: Vec<_> = LOGICAL.iter().filter(|(of, _)| *of == base).copied().collect();
            if !logical.is_empty() {
                let (base, logical) = self.random.pick(&logical);
                return Ty::Logical(base, logical);
            }
        }
        Ty::Primitive(match (base, self.random.chance(75)) {
            ("int", true) => self.random.pick(&["long", "float", "double"]),
            ("long", true) => self.random.pick(&["float", "double"]),
            ("float", true) => "double",
            ("bytes", true) => "string",
            ("string", true) => "bytes",
            _ => self.random.pick(&PRIMITIVES),
        })
    }

    fn symbols(&mut self, name: &str, symbols: &[String], default: Option<&String>) -> Ty {
        let (mut name, mut symbols, mut default) = (name.to_owned(), symbols.to_vec(), default.cloned());
        if self.step() {
            match self.random.below(6) {
                0 if 1 < symbols.len() => drop(symbols.pop()),
                1 | 2 => {
                    symbols[0] = self.random.name("S");
                    default = self.random.chance(60).then(|| symbols[0].clone());
                }
                3 => symbols.push(self.random.name("S")),
                4 => name = self.random.name("E"),
                _ if self.random.chance(50) => return Ty::Primitive("string"),
                _ => {}
            }
            self.random.shuffle(&mut symbols);
        }
        Ty::Enum { name, symbols, default }
    }

    fn record(&mut self, name: &str, aliases: &[String], fields: &[Field]) -> Ty {
        let mut evolved = Vec::new();
        for field in fields {
            let mut field = Field { ty: self.ty(&field.ty), ..field.clone() };
            if self.step() {
                match self.random.below(4) {
                    0 => continue,
                    1 => {
                        let old = std::mem::replace(&mut field.name, self.random.name("f"));
                        field.aliases.push(old);
                    }
                    2 => field.default = Some(self.random.default(&field.ty)),
                    _ => {}
                }
            }
            evolved.push(field);
        }
        if self.step() {
            let mut field = self.random.field(2);
            field.default = self.random.chance(85).then(|| self.random.default(&field.ty));
            evolved.push(field);
        }
        if self.step() {
            self.random.shuffle(&mut evolved);
        }
        let (mut name, mut aliases) = (name.to_owned(), aliases.to_vec());
        if self.step() && self.random.chance(30) {
            let old = std::mem::replace(&mut name, self.random.name("R"));
            aliases.extend(self.random.chance(60).then_some(old));
        }
        Ty::Record { name, aliases, fields: evolved }
    }

    fn union(&mut self, branches: &[Ty]) -> Ty {
        let mut evolved: Vec<Ty> = Vec::new();
        for branch in branches {
            let branch = self.ty(branch);
            let is_new = evolved.iter().all(|other| other.branch() != branch.branch());
            if is_new && branch.base() != "union" && !(self.step() && self.random.chance(30)) {
                evolved.push(branch);
            }
        }
        if self.step() {
            self.random.shuffle(&mut evolved);
        }
        match evolved.len() {
            0 => NULL,
            1 if self.step() => evolved.remove(0),
            _ => Ty::Union(evolved),
        }
    }

    /// The type with no more than one branch besides null in its unions.
    fn plain(&mut self, ty: Ty) -> Ty {
        match ty {
            Ty::Array(item) => Ty::Array(Box::new(self.plain(*item))),
            Ty::Map(value) => Ty::Map(Box::new(self.plain(*value))),
            Ty::Record { name, aliases, fields } => {
                let fields = fields.into_iter().map(|field| {
                    let ty = self.plain(field.ty.clone());
                    let default = field
                        .default
                        .map(|default| if ty == field.ty { default } else { self.random.default(&ty) });
                    Field { ty, default, ..field }
                });
                Ty::Record { name, aliases, fields: fields.collect() }
            }
            Ty::Union(mut branches) => {
                let is_nullable = branches.contains(&NULL);
                branches.retain(|branch| *branch != NULL);
                if branches.is_empty() {
                    return Ty::Union(vec![NULL]);
                }
                let one = branches.swap_remove(self.random.below(branches.len()));
                let one = self.plain(one);
                if is_nullable { self.random.nullable(one) } else { one }
            }
            other => other,
        }
    }
}
