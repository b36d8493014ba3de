//! One rust-libp2p node with Kademlia, driven by lines on its standard input as kadoro_node is.

use futures::StreamExt;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{identify, kad, noise, tcp, yamux, Multiaddr, PeerId, Swarm};
use serde_json::{json, Value};
use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(NetworkBehaviour)]
struct Behaviour {
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

/// A word and its `name=value` settings.
struct Command {
    word: String,
    settings: HashMap<String, String>,
}

impl Command {
    fn parse(parts: impl Iterator<Item = String>) -> Self {
        let mut out = Command { word: String::new(), settings: HashMap::new() };
        for part in parts {
            match part.split_once('=') {
                Some((name, value)) => drop(out.settings.insert(name.into(), value.into())),
                None => out.word = part,
            }
        }
        out
    }
    fn text(&self, name: &str, otherwise: &str) -> String {
        self.settings.get(name).cloned().unwrap_or_else(|| otherwise.into())
    }
    fn number(&self, name: &str, otherwise: usize) -> usize {
        self.settings.get(name).map_or(otherwise, |text| text.parse().expect("a number"))
    }
}

fn say(line: Value) {
    println!("{line}");
}

fn tell(event: &str) {
    say(json!({"event": event, "mono_ms": monotonic_ms()}));
}

/// The clock that the runner and all contestants share.
fn monotonic_ms() -> f64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut at) };
    at.tv_sec as f64 * 1e3 + at.tv_nsec as f64 / 1e6
}

/// Bytes that do not compress: splitmix64 from a hash of the key, as in common/command.hpp.
fn value_of(key: &str, bytes: usize) -> Vec<u8> {
    let mut state = key.bytes().fold(14695981039346656037u64, |s, c| (s ^ u64::from(c)).wrapping_mul(1099511628211));
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state = state.wrapping_add(0x9e3779b97f4a7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d049bb133111eb);
        out.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    out.truncate(bytes);
    out
}

/// What a put or a get needs, made before the clock of its batch starts.
struct Operation {
    key: kad::RecordKey,
    value: Vec<u8>,
}

/// `value` is the one that a get has to find.
struct UnderWay {
    value: Vec<u8>,
    began: Instant,
    found: bool,
}

/// Operations that are under way together.
struct Batch {
    get: bool,
    quorum: kad::Quorum,
    waiting: VecDeque<Operation>,
    under_way: HashMap<kad::QueryId, UnderWay>,
    us: Vec<f64>,
    failures: usize,
    why: String,
    began: Instant,
}

/// The library takes a majority of the replication factor, which `build` sets to the replicas of the swarm: 4 of 7, as
/// kadoro's. Of its default factor, 20, that would be 11, more than there are nodes.
fn quorum_of(text: &str) -> kad::Quorum {
    match text {
        "all" => kad::Quorum::All,
        "majority" => kad::Quorum::Majority,
        _ => panic!("no such quorum: {text}"),
    }
}

impl Batch {
    fn new(from: &Command) -> Self {
        let (tag, first) = (from.text("tag", "a"), from.number("first", 0));
        let (count, bytes) = (from.number("count", 1), from.number("bytes", 300));
        let operation = |index| {
            let key = format!("{tag}/{}", first + index);
            Operation { key: kad::RecordKey::new(&key), value: value_of(&key, bytes) }
        };
        Batch {
            get: from.word == "get",
            quorum: quorum_of(&from.text("quorum", "all")),
            waiting: (0..count).map(operation).collect(),
            under_way: HashMap::new(),
            us: Vec::with_capacity(count),
            failures: 0,
            why: String::new(),
            began: Instant::now(), // after all of the above
        }
    }

    fn start_next(&mut self, kad: &mut kad::Behaviour<MemoryStore>) {
        let Some(Operation { key, value }) = self.waiting.pop_front() else { return };
        let began = Instant::now();
        let (id, value) = if self.get {
            (kad.get_record(key), value)
        } else {
            (kad.put_record(kad::Record::new(key, value), self.quorum).expect("room in the own store"), Vec::new())
        };
        self.under_way.insert(id, UnderWay { value, began, found: false });
    }

    fn hear(&mut self, id: kad::QueryId, result: kad::QueryResult, last: bool, kad: &mut kad::Behaviour<MemoryStore>) {
        let Some(one) = self.under_way.get_mut(&id) else { return };
        let us = one.began.elapsed().as_nanos() as f64 / 1e3;
        match result {
            kad::QueryResult::PutRecord(Ok(_)) => self.us.push(us),
            kad::QueryResult::PutRecord(Err(error)) => {
                self.failures += 1;
                self.why = format!("{error:?}").chars().take(200).collect();
            }
            kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(answer)))
                if !one.found && answer.record.value == one.value =>
            {
                self.us.push(us);
                one.found = true;
                if let Some(mut query) = kad.query_mut(&id) {
                    query.finish(); // one copy is enough
                }
            }
            kad::QueryResult::GetRecord(Err(error)) if !one.found => {
                self.failures += 1;
                self.why = format!("{error:?}").chars().take(200).collect();
            }
            _ => {}
        }
        if last {
            self.under_way.remove(&id);
            self.start_next(kad);
        }
    }

    fn done(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    fn report(&self) -> Value {
        json!({"us": self.us, "failures": self.failures, "why": self.why, "seconds": self.began.elapsed().as_secs_f64()})
    }
}

/// Announced it is when as many nodes hold it as a majority of four replicas.
const COPIES: usize = 3;

/// The shards of a swarm: one is announced here, all are sought until they are seen.
struct Shards {
    own: usize,
    total: usize,
    seen: HashSet<usize>,
    asked: HashMap<kad::QueryId, usize>,
    announced: bool,
    put: Option<kad::QueryId>,
}

impl Shards {
    fn key(shard: usize) -> kad::RecordKey {
        kad::RecordKey::new(&format!("shard/{shard}"))
    }

    /// Whatever is not under way and not done yet.
    fn go_on(&mut self, kad: &mut kad::Behaviour<MemoryStore>) {
        if !self.announced && self.put.is_none() {
            let record = kad::Record::new(Self::key(self.own), vec![1; 120]);
            self.put = kad.put_record(record, kad::Quorum::N(NonZeroUsize::new(COPIES).unwrap())).ok();
        }
        for shard in 0..self.total {
            if !self.seen.contains(&shard) && !self.asked.values().any(|asked| *asked == shard) {
                self.asked.insert(kad.get_record(Self::key(shard)), shard);
            }
        }
    }

    fn hear(&mut self, id: kad::QueryId, result: &kad::QueryResult, last: bool) {
        if self.put == Some(id) {
            if matches!(result, kad::QueryResult::PutRecord(Ok(_))) && !self.announced {
                self.announced = true;
                tell("announced");
            }
            self.put = None;
        }
        if let Some(shard) = self.asked.get(&id).copied() {
            let found = matches!(result, kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(_))));
            if found && self.seen.insert(shard) && self.seen.len() == self.total {
                tell("complete");
            }
            if last {
                self.asked.remove(&id);
            }
        }
    }
}

/// Its best: every query asks all at once, nodelay, the lazy version of the negotiation, sessions that stay.
fn build(replicas: usize, mode: kad::Mode) -> Swarm<Behaviour> {
    libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .expect("a transport")
        .with_behaviour(|key| {
            let id = key.public().to_peer_id();
            let mut config = kad::Config::default();
            config
                .set_parallelism(NonZeroUsize::new(16).unwrap())
                .set_replication_factor(NonZeroUsize::new(replicas).unwrap())
                .set_publication_interval(None)
                .set_replication_interval(None)
                .set_query_timeout(Duration::from_secs(10));
            let room = MemoryStoreConfig { max_records: 1_000_000, ..Default::default() };
            let mut kad = kad::Behaviour::with_config(id, MemoryStore::with_config(id, room), config);
            kad.set_mode(Some(mode));
            let identify = identify::Behaviour::new(identify::Config::new("/bench/1".into(), key.public()));
            Behaviour { kad, identify }
        })
        .expect("a behaviour")
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(Duration::from_secs(3600))
                .with_substream_upgrade_protocol_override(libp2p::core::upgrade::Version::V1Lazy)
        })
        .build()
}

fn split(address: &str) -> (PeerId, Multiaddr) {
    let mut whole: Multiaddr = address.parse().expect("a multiaddr");
    match whole.pop() {
        Some(libp2p::multiaddr::Protocol::P2p(id)) => (id, whole),
        _ => panic!("an address without /p2p: {address}"),
    }
}

fn usage() -> Value {
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut used) };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    let pages: u64 = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1).and_then(|word| word.parse().ok()))
        .unwrap_or(0);
    json!({"cpu_s": seconds(used.ru_utime) + seconds(used.ru_stime), "rss_bytes": pages * 4096})
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tell("started");
    let settings = Command::parse(std::env::args().skip(1));
    let mode = if settings.text("mode", "") == "client" { kad::Mode::Client } else { kad::Mode::Server };
    let mut swarm = build(settings.number("replicas", 7), mode);
    let (host, port) = {
        let listen = settings.text("listen", "127.0.0.1:0");
        let (host, port) = listen.rsplit_once(':').expect("address:port");
        (host.to_string(), port.to_string())
    };
    swarm.listen_on(format!("/ip4/{host}/tcp/{port}").parse().unwrap()).expect("a port");
    let total = settings.number("shards", 0);
    let own = settings.number("shard", 0);
    let mut shards = (total > 0).then(|| Shards {
        own,
        total,
        seen: HashSet::from([own]),
        asked: HashMap::new(),
        announced: false,
        put: None,
    });
    let seed = settings.text("bootstrap", "");
    if !seed.is_empty() {
        let (id, address) = split(&seed);
        swarm.behaviour_mut().kad.add_address(&id, address);
        let _ = swarm.behaviour_mut().kad.bootstrap();
    }

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut batch: Option<Batch> = None;
    let mut connected = false;
    let mut rest = tokio::time::interval(Duration::from_millis(2));
    loop {
        tokio::select! {
            event = swarm.select_next_some() => match event {
                SwarmEvent::NewListenAddr { address, .. } => {
                    let whole = format!("{address}/p2p/{}", swarm.local_peer_id());
                    say(json!({"address": whole, "backend": concat!("rust-libp2p ", env!("CARGO_PKG_VERSION"))}));
                }
                SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
                    let serves = info.protocols.contains(&kad::PROTOCOL_NAME);
                    for address in info.listen_addrs.into_iter().filter(|_| serves) {
                        swarm.behaviour_mut().kad.add_address(&peer_id, address);
                    }
                    connected = true;
                }
                SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { id, result, step, .. })) => {
                    let kad = &mut swarm.behaviour_mut().kad;
                    if let Some(search) = shards.as_mut() {
                        search.hear(id, &result, step.last);
                    }
                    if let Some(all) = batch.as_mut() {
                        all.hear(id, result, step.last, kad);
                        if all.done() {
                            say(all.report());
                            batch = None;
                        }
                    }
                }
                _ => {}
            },
            _ = rest.tick(), if shards.is_some() && connected => {
                shards.as_mut().unwrap().go_on(&mut swarm.behaviour_mut().kad);
            }
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { return };
                let said = Command::parse(line.split_whitespace().map(String::from));
                match said.word.as_str() {
                    "quit" => return,
                    "put" | "get" => {
                        let mut all = Batch::new(&said);
                        for _ in 0..said.number("in_flight", 1) {
                            all.start_next(&mut swarm.behaviour_mut().kad);
                        }
                        batch = Some(all);
                    }
                    "meet" => {
                        for one in said.text("nodes", "").split(',').filter(|one| !one.is_empty()) {
                            let (id, address) = split(one);
                            swarm.behaviour_mut().kad.add_address(&id, address.clone());
                            let _ = swarm.dial(address);
                        }
                        say(json!({"met": true}));
                    }
                    "state" => {
                        let peers: usize = swarm.behaviour_mut().kad.kbuckets().map(|bucket| bucket.num_entries()).sum();
                        say(json!({"peers": peers}));
                    }
                    "usage" => say(usage()),
                    other => say(json!({"error": format!("no such command: {other}")})),
                }
            }
        }
    }
}
