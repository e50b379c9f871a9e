//! Verdicts over changes of a JSON Schema, by what Confluent publishes of them.

use super::*;

fn changes(old: &str, new: &str) -> Vec<String> {
    let parse = |text: &str| {
        JsonSchema::parse(text, std::iter::empty()).unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    broken(&parse(new), &parse(old))
}

fn object(more: &str) -> String {
    format!(r#"{{"type":"object","properties":{{"id":{{"type":"integer"}}}}{more}}}"#)
}

/// Old, new, and what is said: the rules of Confluent's documentation, by content model.
#[test]
fn properties_come_and_go_by_the_content_model() {
    let two = |more: &str| {
        format!(
            r#"{{"type":"object","properties":{{"id":{{"type":"integer"}},"note":{{"type":"string"}}}}{more}}}"#
        )
    };
    let closed = r#","additionalProperties":false"#;
    let texts = r#","additionalProperties":{"type":"string"}"#;
    let numbers = r#","additionalProperties":{"type":"number"}"#;
    let patterns = r#","patternProperties":{"^n":{"type":"string"}},"additionalProperties":false"#;
    let open_new =
        "#/properties/note: it is new, and could be anything before (\"additionalProperties\" was not false)";
    let gone = "#/properties/note: it is gone, and no other properties are accepted";
    for (old, new, expected) in [
        (object(""), two(""), vec![open_new]),
        (object(closed), two(closed), vec![]),
        (object(texts), two(texts), vec![]),
        (object(numbers), two(numbers), vec!["#/properties/note: type number is no longer accepted"]),
        (object(patterns), two(patterns), vec![]),
        (two(""), object(""), vec![]),
        (two(closed), object(closed), vec![gone]),
        (two(texts), object(texts), vec![]),
        (two(numbers), object(numbers), vec!["#/properties/note: type string is no longer accepted"]),
        (two(patterns), object(patterns), vec![]),
        (object(closed), object(""), vec![]),
        (object(""), object(closed), vec!["#/additionalProperties: nothing is accepted any more"]),
        (object(""), object(texts), vec!["#/additionalProperties: no longer anything is accepted"]),
        (
            object(closed),
            two(r#","additionalProperties":false,"required":["note"]"#),
            vec!["#/properties/note: it is required now, and has no default"],
        ),
        (two(r#","required":["note"]"#), two(""), vec![]),
    ] {
        assert_eq!(changes(&old, &new), expected, "{old} to {new}");
    }
    let with_default = two(closed)
        .replace(r#""string""#, r#""string","default":"""#)
        .replace("false", r#"false,"required":["note"]"#);
    assert_eq!(changes(&object(closed), &with_default), Vec::<String>::new());
}

#[test]
fn what_accepts_less_is_told_and_what_accepts_more_is_not() {
    for (old, new, expected) in [
        (r#"{"type":"integer"}"#, r#"{"type":"number"}"#, vec![]),
        (r#"{"type":"number"}"#, r#"{"type":"integer"}"#, vec!["#: type number is no longer accepted"]),
        (r#"{"type":"string"}"#, r#"{"type":["string","null"]}"#, vec![]),
        (r#"{"type":["string","null"]}"#, r#"{"type":"string"}"#, vec!["#: type null is no longer accepted"]),
        (r#"{"type":"string"}"#, "true", vec![]),
        (r#"{"type":"string"}"#, r#"{"title":"anything"}"#, vec![]),
        ("{}", r#"{"type":"string"}"#, vec!["#: no longer anything is accepted"]),
        (r#"{"type":"string"}"#, "false", vec!["#: nothing is accepted any more"]),
        (r#"{"enum":["a"]}"#, r#"{"enum":["a","b"]}"#, vec![]),
        (r#"{"enum":["a","b"]}"#, r#"{"enum":["a"]}"#, vec!["#: the value \"b\" is no longer accepted"]),
        (r#"{"const":1}"#, r#"{"enum":[1,2]}"#, vec![]),
        (r#"{"type":"string","enum":["a"]}"#, r#"{"type":"string"}"#, vec![]),
        (
            r#"{"type":"string"}"#,
            r#"{"type":"string","enum":["a"]}"#,
            vec!["#: only certain values are accepted now"],
        ),
        (r#"{"maxLength":5}"#, r#"{"maxLength":6}"#, vec![]),
        (r#"{"maxLength":5}"#, r#"{"maxLength":4}"#, vec!["#: \"maxLength\" is 4 now"]),
        (r#"{"type":"string"}"#, r#"{"type":"string","minLength":0}"#, vec![]),
        (r#"{"type":"string"}"#, r#"{"type":"string","minLength":1}"#, vec!["#: \"minLength\" is 1 now"]),
        (r#"{"minimum":0}"#, r#"{"minimum":-1}"#, vec![]),
        (r#"{"type":"number"}"#, r#"{"type":"number","minimum":0}"#, vec!["#: \"minimum\" is 0 now"]),
        (r#"{"multipleOf":10}"#, r#"{"multipleOf":5}"#, vec![]),
        (r#"{"multipleOf":1}"#, r#"{"multipleOf":0.01}"#, vec![]),
        (r#"{"multipleOf":0.3}"#, r#"{"multipleOf":0.1}"#, vec![]),
        (r#"{"multipleOf":0.1}"#, r#"{"multipleOf":0.3}"#, vec!["#: \"multipleOf\" is 0.3 now"]),
        (r#"{"multipleOf":1e30}"#, r#"{"multipleOf":1e300}"#, vec!["#: \"multipleOf\" is 1e+300 now"]),
        (r#"{"multipleOf":5}"#, r#"{"multipleOf":0}"#, vec!["#: \"multipleOf\" is 0 now"]),
        (r#"{"multipleOf":5}"#, r#"{"multipleOf":10}"#, vec!["#: \"multipleOf\" is 10 now"]),
        (r#"{"type":"string","pattern":"a"}"#, r#"{"type":"string"}"#, vec![]),
        (
            r#"{"type":"string"}"#,
            r#"{"type":"string","pattern":"a"}"#,
            vec!["#: \"pattern\" is new, or another one"],
        ),
        (r#"{"items":{"type":"integer"}}"#, r#"{"items":{"type":"number"}}"#, vec![]),
        (
            r#"{"items":{"type":"number"}}"#,
            r#"{"items":{"type":"integer"}}"#,
            vec!["#/items: type number is no longer accepted"],
        ),
        (
            r#"{"items":[{"type":"string"}],"additionalItems":false}"#,
            r#"{"items":[{"type":"string"},{"type":"integer"}],"additionalItems":false}"#,
            vec![],
        ),
        (
            r#"{"prefixItems":[{"type":"string"},{"type":"integer"}],"items":false}"#,
            r#"{"prefixItems":[{"type":"string"}],"items":false}"#,
            vec!["#/items/1: nothing is accepted any more"],
        ),
        (
            r#"{"type":"array"}"#,
            r#"{"type":"array","uniqueItems":true}"#,
            vec!["#: \"uniqueItems\" is true now"],
        ),
        (r#"{"oneOf":[{"type":"string"}]}"#, r#"{"oneOf":[{"type":"integer"},{"type":"string"}]}"#, vec![]),
        (r#"{"type":"string"}"#, r#"{"oneOf":[{"type":"null"},{"type":"string"}]}"#, vec![]),
        (
            r#"{"oneOf":[{"type":"null"},{"type":"string"}]}"#,
            r#"{"oneOf":[{"type":"string"}]}"#,
            vec!["#: alternative 0 is no longer accepted"],
        ),
        (r#"{"anyOf":[{"type":"integer"},{"type":"number"}]}"#, r#"{"type":"number"}"#, vec![]),
        (
            r#"{"anyOf":[{"type":"integer"},{"type":"string"}]}"#,
            r#"{"type":"number"}"#,
            vec!["#: only number is accepted now"],
        ),
        (r#"{"allOf":[{"type":"string"},{"maxLength":3}]}"#, r#"{"allOf":[{"type":"string"}]}"#, vec![]),
        (
            r#"{"allOf":[{"type":"string"}]}"#,
            r#"{"allOf":[{"type":"string"},{"maxLength":3}]}"#,
            vec!["#: part 1 of \"allOf\" accepts less than before"],
        ),
        (r#"{"not":{"type":["string","null"]}}"#, r#"{"not":{"type":"string"}}"#, vec![]),
        (
            r#"{"not":{"type":"string"}}"#,
            r#"{"not":{"type":["string","null"]}}"#,
            vec!["#: \"not\" is new, or excludes more than before"],
        ),
    ] {
        assert_eq!(changes(old, new), expected, "{old} to {new}");
    }
}

/// Each was taken for a change that accepts less, or for none.
#[test]
fn combinations_say_what_stands_beside_them() {
    let text = r#"{"type":"string"}"#;
    let unevaluated = |properties: &str| {
        format!(r#"{{"type":"object","properties":{{{properties}}},"unevaluatedProperties":false}}"#)
    };
    let (id, both) = (r#""id":{"type":"integer"}"#, r#""id":{"type":"integer"},"note":{"type":"string"}"#);
    let items = |types: &[&str]| {
        let types: Vec<_> = types.iter().map(|word| format!(r#"{{"type":"{word}"}}"#)).collect();
        format!(r#"{{"prefixItems":[{}],"unevaluatedItems":{{"type":"string"}}}}"#, types.join(","))
    };
    let contains = |more: &str| format!(r#"{{"contains":{{"const":1}}{more}}}"#);
    for (old, new, expected) in [
        // What a part or all alternatives say is said.
        (
            r#"{"allOf":[{"type":"string"}]}"#.to_owned(),
            r#"{"type":"integer"}"#.to_owned(),
            vec!["#: only integer is accepted now"],
        ),
        (
            r#"{"allOf":[{"type":"string","maxLength":3}]}"#.to_owned(),
            r#"{"type":"string","maxLength":3}"#.to_owned(),
            vec![],
        ),
        (r#"{"oneOf":[{"const":1},{"const":2}]}"#.to_owned(), r#"{"enum":[1,2]}"#.to_owned(), vec![]),
        (
            r#"{"oneOf":[{"const":1},{"const":3}]}"#.to_owned(),
            r#"{"enum":[1,2]}"#.to_owned(),
            vec!["#: only certain values are accepted now"],
        ),
        (
            r#"{"anyOf":[{"type":"string","maxLength":3},{"type":"string","maxLength":4}]}"#.to_owned(),
            r#"{"maxLength":4}"#.to_owned(),
            vec![],
        ),
        // An enumeration is of its values' types.
        (
            r#"{"enum":["a",1]}"#.to_owned(),
            r#"{"type":"string"}"#.to_owned(),
            vec!["#: the value 1 is no longer accepted"],
        ),
        (r#"{"enum":[1,2.0]}"#.to_owned(), r#"{"type":"integer"}"#.to_owned(), vec![]),
        // Both kinds of alternatives count, and several of "anyOf" are not one of "oneOf".
        (
            text.to_owned(),
            r#"{"oneOf":[{"type":"string"}],"anyOf":[{"type":"integer"}]}"#.to_owned(),
            vec!["#: alternative 0 is no longer accepted"],
        ),
        (
            r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#.to_owned(),
            r#"{"oneOf":[{"type":"string"},{"type":"null"}]}"#.to_owned(),
            vec!["#: what was \"anyOf\" is \"oneOf\" now: what is several is not accepted"],
        ),
        (
            r#"{"anyOf":[{"type":"string"}]}"#.to_owned(),
            r#"{"oneOf":[{"type":"string"},{"type":"null"}]}"#.to_owned(),
            vec![],
        ),
        (
            r#"{"oneOf":[{"type":"string"},{"type":"null"}]}"#.to_owned(),
            r#"{"anyOf":[{"type":"null"},{"type":"string"}]}"#.to_owned(),
            vec![],
        ),
        // A closed content model by another name.
        (unevaluated(id), unevaluated(both), vec![]),
        (
            unevaluated(both),
            unevaluated(id),
            vec!["#/properties/note: it is gone, and no other properties are accepted"],
        ),
        (items(&["string"]), items(&["string", "string"]), vec![]),
        (
            items(&["string", "number"]),
            items(&["string"]),
            vec!["#/items/1: type number is no longer accepted"],
        ),
        (contains(""), contains(r#","minContains":1"#), vec![]),
        (contains(""), contains(r#","minContains":2"#), vec!["#: \"minContains\" is 2 now"]),
        (
            contains(r#","maxContains":3"#),
            contains(r#","maxContains":2"#),
            vec!["#: \"maxContains\" is 2 now"],
        ),
    ] {
        assert_eq!(changes(&old, &new), expected, "{old} to {new}");
    }
}

/// Each took minutes, or the stack.
#[test]
fn hostile_schemas_come_to_an_end() {
    let started = std::time::Instant::now();
    let chain = |last: &str| {
        let definitions: Vec<_> = (0..5_000)
            .map(|n| format!(r##""d{n}":{{"properties":{{"a":{{"$ref":"#/$defs/d{}"}}}}}}"##, n + 1))
            .collect();
        let definitions = definitions.join(",");
        format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{definitions},"d5000":{{"type":"{last}"}}}}}}"##)
    };
    assert_eq!(changes(&chain("string"), &chain("integer")), ["the schemas are too large to be compared"]);
    let patterns = |n: usize, more: &str| {
        let patterns: Vec<_> =
            (0..n).map(|n| format!(r#""^x{n}[a-z]{{1,50}}$":{{"type":"string"}}"#)).collect();
        format!(r#"{{"patternProperties":{{{}}}{more}}}"#, patterns.join(","))
    };
    let properties: Vec<_> = (0..2_000).map(|n| format!(r#""p{n}":{{"type":"string"}}"#)).collect();
    let more = format!(r#","properties":{{{}}},"additionalProperties":false"#, properties.join(","));
    let closed = r#","additionalProperties":false"#;
    assert_eq!(changes(&patterns(40, closed), &patterns(40, &more)), Vec::<String>::new());
    let told = changes(&patterns(1_000, closed), &patterns(1_000, &more));
    assert_eq!(told, ["the schemas are too large to be compared"]);
    let names: Vec<_> = (0..30_000).map(|n| format!("\"r{n}\"")).collect();
    let (names, turned) = (names.join(","), names.iter().rev().cloned().collect::<Vec<_>>().join(","));
    let both = |names: &str| format!(r#"{{"required":[{names}],"enum":[{names}]}}"#);
    assert_eq!(changes(&both(&names), &both(&turned)), Vec::<String>::new());
    let refs: Vec<_> = (0..20_000).map(|n| format!(r##""p{n}":{{"$ref":"#last"}}"##)).collect();
    let anchored =
        format!(r#"{{"properties":{{{}}},"zz":{{"$anchor":"last","type":"string"}}}}"#, refs.join(","));
    assert_eq!(changes(&anchored, &anchored), Vec::<String>::new());
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

#[test]
fn schemas_within_themselves_and_too_large_ones_come_to_an_end() {
    let tree = |value: &str| {
        format!(
            r##"{{"properties":{{"v":{{"type":"{value}"}},"next":{{"$ref":"#"}}}},"additionalProperties":false}}"##
        )
    };
    assert_eq!(changes(&tree("integer"), &tree("number")), Vec::<String>::new());
    assert_eq!(
        changes(&tree("number"), &tree("integer")),
        ["#/properties/v: type number is no longer accepted"]
    );
    let mut nested = r#"{"type":"string"}"#.to_owned();
    for _ in 0..12 {
        nested = format!(r#"{{"oneOf":[{nested},{nested}]}}"#);
    }
    let other = nested.replace("string", "integer");
    assert_eq!(changes(&nested, &other), ["the schemas are too large to be compared"]);
}

/// What a schema accepted it accepts; and every text ends in a verdict.
#[test]
fn every_schema_accepts_what_it_accepts() {
    for schema in [
        object(""),
        r#"{"type":"object","required":["a"],"patternProperties":{"^(?!x)":{"type":"string"}},"additionalProperties":{"type":"null"}}"#.to_owned(),
        r#"{"oneOf":[{"type":"string","pattern":"x"},{"allOf":[{"minimum":1},{"not":{"const":3}}]}],"if":{"type":"string"},"then":true}"#.to_owned(),
        r#"{"items":[{"type":"string"}],"additionalItems":{"type":"integer"},"contains":{"const":1},"uniqueItems":true}"#.to_owned(),
    ] {
        assert_eq!(changes(&schema, &schema), Vec::<String>::new(), "{schema}");
    }
}
