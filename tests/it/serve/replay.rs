//! Every recorded exchange of an `OpenLineage` client, sent again: the same class of status.

use lineage_tests::http::recorded_headers;
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use lineage_tests::{corpora, walk};
use serde_json::Value;

#[test]
fn recorded_exchanges_get_the_same_class_of_status() {
    let Some(corpora) = corpora() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.at("2026-11-23T00:00:00Z");
    let server = Server::start(&sandbox);
    let (mut exchanges, mut packed) = (0, 0);
    for file in walk::files_ending(&corpora.join("openlineage/recorded"), ".ndjson") {
        if file.to_string_lossy().ends_with(".events.ndjson") {
            continue;
        }
        let mut connection = server.connect();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let exchange: Value = serde_json::from_str(line).unwrap();
            let request = &exchange["request"];
            let headers = recorded_headers(request);
            let mut body = request["body"]["json"].to_string().into_bytes();
            if request["body"]["content_encoding"] == "gzip" {
                body = super::basics::gzip(&body);
                packed += 1;
            }
            let target = request["path"].as_str().unwrap();
            let answer = connection.ask(request["method"].as_str().unwrap(), target, &headers, &body).unwrap();
            // A 503 was the recorder's own doing, to see the client come again.
            let status = exchange["response"]["status"].as_u64().unwrap();
            let expected = if status == 503 { 2 } else { status / 100 };
            assert_eq!(u64::from(answer.status / 100), expected, "{}: {}", file.display(), answer.text());
            exchanges += 1;
        }
    }
    assert!(exchanges > 300 && packed > 10, "{exchanges} exchanges, {packed} packed");
    // Airflow is not installed for a test, so its recording answers for it; the others are asked as well.
    for (dataset, sources) in [
        (
            "postgres://127.0.0.1:55432::shop.public.customer_totals",
            &["shop.public.customers", "shop.public.orders"][..],
        ),
        ("s3://lake::features/users", &["raw/users"]),
        ("duckdb://jaffle.duckdb::jaffle.main.stg_orders", &["jaffle.main.raw_orders"]),
    ] {
        let mut names = server.column(&format!("datasets upstream of dataset '{dataset}'"), "name");
        names.sort();
        names.dedup();
        assert_eq!(names, sources, "{dataset}");
    }
    sandbox.run(["verify"]).done();
}
