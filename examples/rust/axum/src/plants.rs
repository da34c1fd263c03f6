//! Known regressions for Duet's self-test, compiled into test builds only (`--features plants`, on Linux).
//!
//! `$DUET_PLANT` says once, at the start, which one acts: `KIND:AMOUNT`, or nothing for none. What a request pays
//! for the question whether something is planted, it pays in every process of such a build.
//!
//! The Go service has the same plants; its constants are its own.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};

/// What one request of a route is without any plant, the mean over Duet's workload for it.
struct Cost {
    /// Of the service itself: neither allocator nor scheduler.
    instructions: u64,
    /// In hundredths.
    allocations: u64,
    /// Allocated.
    bytes: u64,
}

// Counted by callgrind (instructions, calls of the allocator) and by dhat (bytes), in the build with plants and
// with none of them acting, by rustc 1.95 on amd64.
const HEALTH: Cost = Cost {
    instructions: 12_496,
    allocations: 2900,
    bytes: 10_864,
};
const PIPELINE: Cost = Cost {
    instructions: 577_470,
    allocations: 73_900,
    bytes: 83_345,
};
/// Everything else: create, follow, stats and what is missing.
const LINKS: Cost = Cost {
    instructions: 13_553,
    allocations: 3010,
    bytes: 11_403,
};

/// The largest of the service's peaks under Duet's workloads, one core, in bytes.
const PEAK_RSS: usize = 4_500_000;
/// Instructions of one turn of [`spin`]'s loop.
const TURN: u64 = 7;
/// Bytes of a planted allocation.
const OBJECT: u64 = 32;
/// How many requests share one stall.
const STALL_EVERY: u64 = 50;
/// Bytes of a page, or a divisor of them.
const PAGE: usize = 4096;

/// What each request of one route does beside its work.
#[derive(Default)]
struct Act {
    turns: u64,       // of spin
    allocations: u64, // in hundredths of an allocation
    size: usize,      // of one allocation, in bytes
    wait: Duration,
    stall: Duration, // of every STALL_EVERY-th request
    served: AtomicU64,
}

/// All that was planted into one process.
#[derive(Default)]
struct Plant {
    health: Act,
    pipeline: Act,
    links: Act,
    memory: usize,   // bytes, resident for life
    burst: Duration, // of CPU, once a second
}

/// The app with what `$DUET_PLANT` asks for.
pub fn planted(app: Router) -> io::Result<Router> {
    let text = std::env::var("DUET_PLANT").unwrap_or_default();
    let plant = Arc::new(parse(&text).map_err(io::Error::other)?);
    plant.start();
    Ok(
        app.layer(middleware::from_fn(move |request: Request, next: Next| {
            plant.act(request.uri().path()).now();
            next.run(request)
        })),
    )
}

/// Reads `KIND:AMOUNT`.
fn parse(text: &str) -> Result<Plant, String> {
    let mut plant = Plant::default();
    if text.is_empty() {
        return Ok(plant);
    }
    let (kind, amount) = text
        .split_once(':')
        .and_then(|(kind, amount)| Some((kind, amount.parse::<u32>().ok()?)))
        .filter(|(_, amount)| *amount > 0)
        .ok_or_else(|| {
            format!("reading DUET_PLANT: unexpected {text:?}: expected KIND:AMOUNT, such as work:1")
        })?;
    match kind {
        "memory" => plant.memory = PEAK_RSS * amount as usize / 100,
        "burst" => plant.burst = Duration::from_millis(amount.into()),
        _ => {
            for (act, cost) in [
                (&mut plant.health, &HEALTH),
                (&mut plant.pipeline, &PIPELINE),
                (&mut plant.links, &LINKS),
            ] {
                act.set(kind, amount.into(), cost)?;
            }
        }
    }
    Ok(plant)
}

impl Plant {
    fn act(&self, path: &str) -> &Act {
        match path {
            "/health" => &self.health,
            "/pipeline" => &self.pipeline,
            _ => &self.links,
        }
    }

    /// Does what does not wait for requests.
    fn start(&self) {
        if self.memory > 0 {
            occupy(self.memory);
        }
        if !self.burst.is_zero() {
            let time = self.burst;
            thread::spawn(move || burn(time));
        }
    }
}

impl Act {
    /// Plants into one route.
    fn set(&mut self, kind: &str, amount: u64, cost: &Cost) -> Result<(), String> {
        match kind {
            // Percent.
            "work" => self.turns = (cost.instructions * amount + 50 * TURN) / (100 * TURN),
            "alloc" => self.allocate(cost.allocations * amount / 100, OBJECT),
            "garbage" => self.allocate(
                cost.allocations * amount / 100,
                100 * cost.bytes / cost.allocations,
            ),
            "latency" => self.wait = Duration::from_micros(amount),
            "stall" => self.stall = Duration::from_millis(amount),
            _ => {
                return Err(format!(
                    "reading DUET_PLANT: unexpected kind {kind:?}: expected work, alloc, garbage, latency, stall, \
                     memory or burst"
                ));
            }
        }
        Ok(())
    }

    fn allocate(&mut self, hundredths: u64, size: u64) {
        self.allocations = hundredths;
        self.size = usize::try_from(size).unwrap_or(usize::MAX);
    }

    /// What a request pays.
    fn now(&self) {
        let n = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        spin(self.turns);
        for _ in 0..due(self.allocations, n) {
            garbage(self.size);
        }
        if !self.wait.is_zero() {
            sleep(self.wait);
        }
        if !self.stall.is_zero() && n % STALL_EVERY == 0 {
            sleep(self.stall);
        }
    }
}

/// How many allocations the `n`-th request makes, `n` from 1, so that the mean is `hundredths` ÷ 100.
fn due(hundredths: u64, n: u64) -> u64 {
    hundredths * n / 100 - hundredths * (n - 1) / 100
}

/// Does arithmetic that nobody needs: `turns` × [`TURN`] instructions.
#[inline(never)]
fn spin(turns: u64) -> u64 {
    let mut x = 1_u64;
    for turn in 0..turns {
        x = black_box(x.rotate_left(5) ^ turn);
    }
    x
}

/// Makes an object of the given bytes and drops it.
#[inline(never)]
fn garbage(size: usize) {
    drop(black_box(vec![0_u8; size]));
}

/// Waits without work on the worker that it is called on: tokio's own sleep counts in milliseconds. Late by the
/// machine's own wake-up alone (20 to 30 µs on a virtual one).
fn sleep(time: Duration) {
    thread_local! {
        static EXACT: () = tighten();
    }
    EXACT.with(|()| thread::sleep(time));
}

/// Sets the calling thread's timer slack to the least: by default the kernel wakes it up to 50 µs late.
fn tighten() {
    if let Some(thread) = fs::read_link("/proc/thread-self")
        .ok()
        .and_then(|link| link.file_name().map(ToOwned::to_owned))
    {
        // A kernel that refuses wakes the thread later, which the plant may.
        let _ = fs::write(
            std::path::Path::new("/proc")
                .join(thread)
                .join("timerslack_ns"),
            "1",
        );
    }
}

/// Makes bytes resident, for life.
fn occupy(bytes: usize) {
    let mut held = vec![0_u8; bytes];
    held.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    Box::leak(black_box(held).into_boxed_slice());
}

/// Uses up the given time of a core once a second, for life.
fn burn(time: Duration) {
    loop {
        thread::sleep(Duration::from_secs(1));
        let end = spent() + time;
        while spent() < end {
            spin(10_000);
        }
    }
}

/// What the calling thread has spent, to the kernel's tick; the clock on the wall where the kernel does not tell.
fn spent() -> Duration {
    thread_local! {
        static START: Instant = Instant::now();
    }
    fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .map_or_else(|| START.with(Instant::elapsed), Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the self-test plants; the Go service has the same list.
    const PLANTABLE: [&str; 15] = [
        "",
        "work:1",
        "work:2",
        "work:3",
        "work:5",
        "work:10",
        "alloc:1",
        "latency:50",
        "latency:100",
        "latency:200",
        "memory:5",
        "memory:20",
        "stall:2",
        "burst:40",
        "garbage:50",
    ];

    #[test]
    fn only_known_plants_are_planted() {
        for text in PLANTABLE {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "work", "work:", "work:0", "work:-1", "work:x", "weeds:1", ":1", " ",
        ] {
            let refusal = parse(text).err().unwrap_or_default();
            assert!(refusal.contains("DUET_PLANT"), "{text}: {refusal}");
        }
    }

    #[test]
    fn work_is_its_share() {
        for percent in [1, 2, 3, 5, 10] {
            for cost in [&HEALTH, &PIPELINE, &LINKS] {
                let mut act = Act::default();
                act.set("work", percent, cost).unwrap();
                let exact = cost.instructions * percent;
                let got = act.turns * TURN * 100;
                assert!(got.abs_diff(exact) * 20 <= exact, "{got} is not {exact}");
            }
        }
    }

    #[test]
    fn allocations_come_in_their_share() {
        for (percent, cost) in [(1, &HEALTH), (50, &HEALTH), (1, &PIPELINE)] {
            let hundredths = cost.allocations * percent / 100;
            let got: u64 = (1..=1000).map(|n| due(hundredths, n)).sum();
            assert_eq!(got, hundredths * 10);
        }
        assert_eq!(due(0, 7), 0);
        let garbage = parse("garbage:50").unwrap();
        assert_eq!(garbage.health.size, 374);
        assert_eq!(parse("alloc:1").unwrap().pipeline.size, 32);
    }

    #[test]
    fn waits_are_at_least_as_long() {
        let spent = |text: &str, requests: u64| {
            let plant = parse(text).unwrap();
            let start = Instant::now();
            (0..requests).for_each(|_| plant.act("/health").now());
            start.elapsed()
        };
        assert!(spent("latency:200", 10) >= Duration::from_millis(2));
        assert!(spent("stall:2", 2 * STALL_EVERY) >= Duration::from_millis(4));
    }

    #[test]
    fn memory_and_burst() {
        assert_eq!(parse("memory:20").unwrap().memory, PEAK_RSS / 5);
        assert_eq!(parse("burst:40").unwrap().burst, Duration::from_millis(40));
        let before = spent();
        spin(100_000_000);
        assert!(spent() > before);
    }

    #[test]
    fn routes() {
        let plant = parse("").unwrap();
        for (path, act) in [
            ("/health", &plant.health),
            ("/pipeline", &plant.pipeline),
            ("/links/a", &plant.links),
            ("/a", &plant.links),
        ] {
            assert!(std::ptr::eq(plant.act(path), act), "{path}");
        }
    }
}
