//! What changes a fingerprint, and what does not.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::{planned, tables};
use crate::sql::plan;

const SQL: &str = "SELECT window_start, window_end, country, count(*) AS n, sum(amount) AS total \
    FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND) WHERE amount > 5 \
    GROUP BY window_start, window_end, country";

/// State on disk carries this number: where it changes, every pipeline must be reset.
#[test]
fn fingerprint_is_pinned() {
    assert_eq!(format!("{:016x}", planned(SQL).fingerprint), "c0a339527ffde918");
}

#[test]
fn formatting_case_and_aliases_do_not_change_it() {
    let same = [
        SQL.to_lowercase().replace("interval '10' second", "INTERVAL '10 seconds'"),
        SQL.replace(' ', "\n  ").replace("count(*)", "COUNT( * )"),
        SQL.replace("WHERE", "AS w /* the rows */ WHERE w.").replace("w. amount", "w.amount"),
        SQL.replace("INTERVAL '10' SECOND", "INTERVAL '10' SECOND, INTERVAL '-20' SECOND"),
        SQL.replace("GROUP BY window_start, window_end, country", "GROUP BY 1, 2, 3"),
        SQL.replace("GROUP BY window_start, window_end, country", "GROUP BY ALL"),
        format!("WITH x AS ({SQL}) SELECT * FROM x"),
    ];
    for sql in same {
        assert_eq!(planned(&sql).fingerprint, planned(SQL).fingerprint, "{sql}");
    }
}

#[test]
fn meaning_changes_it() {
    let different = [
        SQL.replace("> 5", "> 6"),
        SQL.replace("'10'", "'20'"),
        SQL.replace("'10' SECOND", "'10' SECOND, INTERVAL '1' SECOND"),
        SQL.replace("sum(amount)", "avg(amount)"),
        SQL.replace("sum(amount)", "sum(amount) FILTER (WHERE paid)"),
        SQL.replace("AS total", "AS sum"),
        SQL.replace("WHERE amount > 5", ""),
        SQL.replace("count(*)", "count(DISTINCT id)"),
        SQL.replace("count(*)", "count(id)"),
    ];
    let mut seen = vec![planned(SQL).fingerprint];
    for sql in different {
        let fingerprint = planned(&sql).fingerprint;
        assert!(!seen.contains(&fingerprint), "{sql}");
        seen.push(fingerprint);
    }
}

#[test]
fn literals_of_different_types_differ() {
    let sql =
        |literal: &str| planned(&format!("SELECT concat(country, {literal}) AS c FROM orders")).fingerprint;
    assert_ne!(sql("'1'"), sql("'2'"));
    assert_ne!(
        planned("SELECT arrow_typeof(1) AS t, 1 AS x FROM orders").fingerprint,
        planned("SELECT arrow_typeof(1) AS t, '1' AS x FROM orders").fingerprint
    );
}

#[test]
fn used_columns_and_identity_of_the_source_change_it_unused_columns_do_not() {
    let with = |change: &dyn Fn(&mut Vec<Arc<Field>>), identity: &str| {
        let mut tables = tables();
        let mut fields = tables[0].schema.fields().to_vec();
        change(&mut fields);
        tables[0].schema = Arc::new(Schema::new(fields));
        tables[0].event_time = tables[0].schema.index_of("ordered_at").unwrap();
        tables[0].identity = identity.to_owned();
        plan(SQL, &tables).unwrap().fingerprint
    };
    let identity = "topic shop.orders";
    let original = planned(SQL).fingerprint;
    assert_eq!(with(&|_| {}, identity), original);
    assert_eq!(with(&|fields| drop(fields.remove(0)), identity), original);
    assert_ne!(
        with(&|fields| fields[2] = Arc::new(Field::new("amount", DataType::Int32, true)), identity),
        original
    );
    assert_ne!(with(&|_| {}, "topic shop.orders2"), original);
}
