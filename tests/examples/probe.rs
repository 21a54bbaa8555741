#[global_allocator]
static A: mimalloc::MiMalloc = mimalloc::MiMalloc;
use lineage_ingest::file::{Format, Options, ingest};
use lineage_store::{Store, time::Time};
use std::time::{Duration, Instant, SystemTime};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let root = std::path::Path::new(&args[2]);
    if args[1] == "load" {
        let store = Store::create(root, "format = 1\n").unwrap();
        let now = || Time(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64);
        let t = Instant::now();
        let o = Options { format: Format::Native, actor: "x".into(), seal: vec![], salt: [1; 32], strict: false, dry_run: false, commit_each: false, source: "f".into(), name: "f".into(), now: &now };
        let s = ingest(&store, std::fs::File::open(&args[3]).unwrap(), &o, &mut |_| {}, &mut |r| println!("{r:?}")).unwrap();
        println!("{s:?} {:?}", t.elapsed());
        store.close(Duration::from_secs(100)).unwrap();
        println!("closed {:?} {} ev/s", t.elapsed(), s.events as f64 / t.elapsed().as_secs_f64());
    } else {
        let t = Instant::now();
        let store = Store::open(root).unwrap();
        let view = store.view().unwrap();
        println!("view {:?}", t.elapsed());
        let params: Vec<(String, String)> = vec![];
        let ask = |text: &str| {
            let t = Instant::now();
            let r = lineage_query::Request { text, params: &params, now: Time(1_900_000_000_000_000_000), now_is_set: false, environments: &[], max_rows: None, digest_of_file: &|_| Err("no".into()) };
            match lineage_query::answer(&view, &r) {
                Ok(a) => { let mut out = Vec::new(); lineage_query::output::write(&a, &lineage_query::output::Format::Csv { safe: false }, &mut out, &Default::default()).unwrap(); println!("{text}: {:?} {}", t.elapsed(), String::from_utf8_lossy(&out).replace("\r\n", " ").chars().take(200).collect::<String>()) }
                Err(e) => println!("{text}: {e:?}"),
            }
        };
        for text in &args[3..] { ask(text); ask(text); }
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        for l in status.lines().filter(|l| l.starts_with("Vm") || l.starts_with("Rss")) { println!("{l}"); }
    }
}
