//! The tables that there are, and what the documentation says of them.

use expect_test::expect;

use super::*;

#[test]
fn the_documentation_has_every_column_of_the_system_tables() {
    let page = include_str!("../../../../docs/http.md");
    for name in system::NAMES {
        let (_, section) =
            page.split_once(&format!("**`weir.{name}`**")).unwrap_or_else(|| panic!("no {name}"));
        let section = section.split("**`weir.").next().unwrap_or_default();
        let described = answer(&format!("DESCRIBE weir.{name}"), Format::Csv).expect("a system table");
        for line in described.lines().skip(1) {
            let column = line.split(',').next().unwrap_or_default();
            assert!(section.contains(&format!("`{column}`")), "{name}.{column}");
        }
    }
}

#[test]
fn the_queries_of_the_documentation_are_answered() {
    let page = include_str!("../../../../docs/sql.md");
    let queries: Vec<&str> =
        page.split("```sql query\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    assert!(!queries.is_empty());
    for sql in queries {
        answer(sql, Format::Json).unwrap_or_else(|fault| panic!("{sql}: {fault}"));
    }
}

#[test]
fn tables_are_listed_and_described() {
    check(
        "SHOW TABLES",
        Format::Csv,
        &expect![[r#"
        table_schema,table_name
        public,revenue
        public,starting
        weir,pipelines
        weir,operators
        weir,partitions
        weir,epochs
        weir,floors
        weir,schemas
        weir,dead_letters
        weir,sinks
        weir,columns
    "#]],
    );
    check(
        "DESCRIBE revenue",
        Format::Csv,
        &expect![[r#"
        column_name,data_type,is_nullable
        window_end,TIMESTAMP(3) WITH TIME ZONE,false
        country,VARCHAR,false
        orders,BIGINT,false
        _final,BOOLEAN,false
    "#]],
    );
    check(
        "show columns from weir.sinks",
        Format::Csv,
        &expect![[r#"
        column_name,data_type,is_nullable
        sink,VARCHAR,false
        pipeline,VARCHAR,false
        state,VARCHAR,false
        outbox_rows,BIGINT,false
        outbox_bytes,BIGINT,false
        delivered_epoch,BIGINT,false
        error,VARCHAR,true
    "#]],
    );
    check(
        "SELECT * FROM weir.columns",
        Format::Csv,
        &expect![[r#"
            source,position,name,type,nullable,subject,version,since_version,kind,table_name
            orders,1,country,VARCHAR,false,shop.orders-value,3,3,source,orders
            orders,2,ordered_at,TIMESTAMP(3) WITH TIME ZONE,false,shop.orders-value,3,3,source,orders
            ,1,window_end,TIMESTAMP(3) WITH TIME ZONE,false,,,,result,revenue
            ,2,country,VARCHAR,false,,,,result,revenue
            ,3,orders,BIGINT,false,,,,result,revenue
            ,4,_final,BOOLEAN,false,,,,result,revenue
            ,1,name,VARCHAR,false,,,,system,weir.pipelines
            ,2,state,VARCHAR,false,,,,system,weir.pipelines
            ,3,epoch,BIGINT,false,,,,system,weir.pipelines
            ,4,committed_at,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.pipelines
            ,5,watermark,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.pipelines
            ,6,rows_in,BIGINT,false,,,,system,weir.pipelines
            ,7,rows_out,BIGINT,false,,,,system,weir.pipelines
            ,8,late_rows,BIGINT,false,,,,system,weir.pipelines
            ,9,tombstones,BIGINT,false,,,,system,weir.pipelines
            ,10,dead_letters,BIGINT,false,,,,system,weir.pipelines
            ,11,error,VARCHAR,true,,,,system,weir.pipelines
            ,12,lost_records,BIGINT,false,,,,system,weir.pipelines
            ,13,dead_letters_replayed,BIGINT,false,,,,system,weir.pipelines
            ,14,dead_letters_expired,BIGINT,false,,,,system,weir.pipelines
            ,1,pipeline,VARCHAR,false,,,,system,weir.operators
            ,2,operator,VARCHAR,false,,,,system,weir.operators
            ,3,kind,VARCHAR,false,,,,system,weir.operators
            ,4,subtask,INT,false,,,,system,weir.operators
            ,5,rows_in,BIGINT,false,,,,system,weir.operators
            ,6,rows_out,BIGINT,false,,,,system,weir.operators
            ,7,busy_ratio,DOUBLE,false,,,,system,weir.operators
            ,8,blocked_ratio,DOUBLE,false,,,,system,weir.operators
            ,9,state_bytes,BIGINT,false,,,,system,weir.operators
            ,1,pipeline,VARCHAR,false,,,,system,weir.partitions
            ,2,source,VARCHAR,false,,,,system,weir.partitions
            ,3,topic,VARCHAR,false,,,,system,weir.partitions
            ,4,partition,INT,false,,,,system,weir.partitions
            ,5,next_offset,BIGINT,false,,,,system,weir.partitions
            ,6,end_offset,BIGINT,true,,,,system,weir.partitions
            ,7,lag_records,BIGINT,true,,,,system,weir.partitions
            ,8,watermark,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.partitions
            ,9,idle,BOOLEAN,false,,,,system,weir.partitions
            ,1,pipeline,VARCHAR,false,,,,system,weir.epochs
            ,2,epoch,BIGINT,false,,,,system,weir.epochs
            ,3,committed_at,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.epochs
            ,4,duration_ms,DOUBLE,false,,,,system,weir.epochs
            ,5,rows_in,BIGINT,false,,,,system,weir.epochs
            ,6,bytes_written,BIGINT,false,,,,system,weir.epochs
            ,1,pipeline,VARCHAR,false,,,,system,weir.floors
            ,2,epoch,BIGINT,false,,,,system,weir.floors
            ,3,source,VARCHAR,false,,,,system,weir.floors
            ,4,topic,VARCHAR,false,,,,system,weir.floors
            ,5,partition,INT,false,,,,system,weir.floors
            ,6,next_offset,BIGINT,false,,,,system,weir.floors
            ,7,floor,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.floors
            ,1,source,VARCHAR,false,,,,system,weir.schemas
            ,2,schema_id,BIGINT,false,,,,system,weir.schemas
            ,3,subject,VARCHAR,true,,,,system,weir.schemas
            ,4,version,BIGINT,true,,,,system,weir.schemas
            ,5,partition,INT,false,,,,system,weir.schemas
            ,6,first_offset,BIGINT,false,,,,system,weir.schemas
            ,7,compatible,BOOLEAN,false,,,,system,weir.schemas
            ,8,detail,VARCHAR,false,,,,system,weir.schemas
            ,9,pipeline,VARCHAR,false,,,,system,weir.schemas
            ,1,pipeline,VARCHAR,false,,,,system,weir.dead_letters
            ,2,source,VARCHAR,false,,,,system,weir.dead_letters
            ,3,topic,VARCHAR,false,,,,system,weir.dead_letters
            ,4,partition,INT,true,,,,system,weir.dead_letters
            ,5,offset,BIGINT,true,,,,system,weir.dead_letters
            ,6,record_time,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.dead_letters
            ,7,schema_id,BIGINT,true,,,,system,weir.dead_letters
            ,8,reason,VARCHAR,false,,,,system,weir.dead_letters
            ,9,detail,VARCHAR,false,,,,system,weir.dead_letters
            ,10,key,VARBINARY,true,,,,system,weir.dead_letters
            ,11,payload,VARBINARY,true,,,,system,weir.dead_letters
            ,12,epoch,BIGINT,false,,,,system,weir.dead_letters
            ,13,headers,"MAP<VARCHAR, VARBINARY>",true,,,,system,weir.dead_letters
            ,14,operator,VARCHAR,true,,,,system,weir.dead_letters
            ,15,replays,BIGINT,false,,,,system,weir.dead_letters
            ,16,window_start,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.dead_letters
            ,17,window_end,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.dead_letters
            ,1,sink,VARCHAR,false,,,,system,weir.sinks
            ,2,pipeline,VARCHAR,false,,,,system,weir.sinks
            ,3,state,VARCHAR,false,,,,system,weir.sinks
            ,4,outbox_rows,BIGINT,false,,,,system,weir.sinks
            ,5,outbox_bytes,BIGINT,false,,,,system,weir.sinks
            ,6,delivered_epoch,BIGINT,false,,,,system,weir.sinks
            ,7,error,VARCHAR,true,,,,system,weir.sinks
            ,1,source,VARCHAR,true,,,,system,weir.columns
            ,2,position,INT,false,,,,system,weir.columns
            ,3,name,VARCHAR,false,,,,system,weir.columns
            ,4,type,VARCHAR,false,,,,system,weir.columns
            ,5,nullable,BOOLEAN,false,,,,system,weir.columns
            ,6,subject,VARCHAR,true,,,,system,weir.columns
            ,7,version,BIGINT,true,,,,system,weir.columns
            ,8,since_version,BIGINT,true,,,,system,weir.columns
            ,9,kind,VARCHAR,false,,,,system,weir.columns
            ,10,table_name,VARCHAR,false,,,,system,weir.columns
        "#]],
    );
    check(
        "DESCRIBE orders",
        Format::Csv,
        &expect![[r#"
        column_name,data_type,is_nullable
        country,VARCHAR,false
        ordered_at,TIMESTAMP(3) WITH TIME ZONE,false
    "#]],
    );
    check(
        "DESCRIBE weir.dead_letters",
        Format::Csv,
        &expect![[r#"
            column_name,data_type,is_nullable
            pipeline,VARCHAR,true
            source,VARCHAR,true
            topic,VARCHAR,true
            partition,INT,true
            offset,BIGINT,true
            record_time,TIMESTAMP(3) WITH TIME ZONE,true
            schema_id,BIGINT,true
            reason,VARCHAR,true
            detail,VARCHAR,true
            key,VARBINARY,true
            payload,VARBINARY,true
            epoch,BIGINT,true
        "#]],
    );
    for (name, sql) in system::NAMES.map(|name| (name, format!("SELECT * FROM weir.{name}"))) {
        answer(&sql, Format::Csv).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
    check(
        "SELECT * FROM weir.dead_letters WHERE pipeline = 'revenue'",
        Format::Csv,
        &expect![[r#"
        pipeline,source,topic,partition,offset,record_time,schema_id,reason,detail,key,payload,epoch
        revenue,orders,shop.orders,0,17,1970-01-01T00:00:01.000Z,,bad_framing,no magic byte,,eA==,3
    "#]],
    );
    check(
        "SELECT * FROM weir.epochs WHERE epoch > 810",
        Format::Csv,
        &expect![[r#"
        pipeline,epoch,committed_at,duration_ms,rows_in,bytes_written
        revenue,811,1970-01-01T00:13:31.000Z,4.0,10,100
        revenue,812,1970-01-01T00:13:32.000Z,4.0,10,100
    "#]],
    );
    check(
        "SELECT * FROM weir.pipelines",
        Format::Csv,
        &expect![[r#"
        name,state,epoch,committed_at,watermark,rows_in,rows_out,late_rows,tombstones,dead_letters,error,lost_records,dead_letters_replayed,dead_letters_expired
        audit,running,1,2026-11-22T12:00:00.250Z,,90,5,1,2,3,,0,1,0
        revenue,running,812,2026-11-22T12:00:00.250Z,2026-11-22T12:00:05.000Z,90,5,1,2,3,,0,1,0
        starting,running,0,,,0,0,0,0,0,,0,0,0
    "#]],
    );
}

#[test]
fn columns_of_system_tables_need_no_quotes() {
    for sql in [
        "SELECT pipeline, source, topic, partition, offset, record_time, schema_id, reason, detail, key, payload, epoch \
         FROM weir.dead_letters ORDER BY partition, offset LIMIT 5 OFFSET 0",
        "SELECT count(*) AS n, offset FROM weir.dead_letters WHERE partition = 0 AND offset > 3 GROUP BY partition, offset",
        "SELECT max(offset) AS offset FROM weir.dead_letters d WHERE NOT offset = 1 OR 2 < d.offset",
        "SELECT offset x, offset + 1 AS y FROM weir.dead_letters OFFSET 1",
        "SELECT 1 AS one, offset FROM weir.dead_letters LIMIT 1 OFFSET 1 ROWS",
        "SELECT pipeline, epoch, source, topic, partition, next_offset, floor FROM weir.floors",
    ] {
        answer(sql, Format::Csv).unwrap_or_else(|fault| panic!("{sql}: {fault}"));
    }
    let none = answer("SELECT 1 AS one, 2 AS two OFFSET 1", Format::Csv).expect("a clause");
    assert_eq!(none.trim_end(), "one,two");
}
