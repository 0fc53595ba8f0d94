//! What the time of a refusal tells.
//!
//! `cargo bench -p tollgate-tests --bench timing`; a million samples a class, or `SAMPLES`. As
//! dudect does: classes in random order in one run, then Welch's t between two of them, of all
//! samples and without the slowest tenth. |t| below 4.5 means that no difference was found.
//!
//! Ends in failure if guesses that begin like a real key can be told from those that do not. It is
//! not tried again: whatever else the machine does hits all classes alike.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

#[path = "shared/site.rs"]
mod site;

use std::collections::HashSet;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use http::HeaderValue;
use site::{Site, bearer};
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::NewKey;
use tollgate::core::secret::Digester;

const SAMPLES: usize = 1_000_000;
const WISH: f64 = 4.5;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: &str = "sk_live_";
const RANDOM: usize = 30;
const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// Nanoseconds of each sample.
type Times = Vec<u32>;

/// The time of one refusal, and of dropping it as a server would.
async fn time(site: &mut Site, key: HeaderValue) -> u32 {
    let started = Instant::now();
    let answer = site.ask("/", Some(key), FROM).await;
    let status = answer.status();
    drop(black_box(answer));
    let took = started.elapsed();
    assert_eq!(status, 401);
    u32::try_from(took.as_nanos()).unwrap_or(u32::MAX)
}

/// Six base-62 digits of the CRC-32, as the key format has them.
fn with_checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    format!("{body}{}", std::str::from_utf8(&digits).unwrap())
}

/// A guess that shares exactly so many characters of its random part with a real key; there are 61
/// `others` that do. Making it takes as much work however many they are: what the processor has
/// at hand afterwards would show in the time.
fn guess(real: &str, shared: usize, other: usize) -> String {
    let real = &real.as_bytes()[PREFIX.len()..][..RANDOM];
    let mut others = ALPHABET.iter().filter(|digit| **digit != real[shared]);
    let other = *others.nth(other).unwrap();
    let random = std::array::from_fn::<u8, RANDOM, _>(|at| {
        let any = *fastrand::choice(ALPHABET).unwrap();
        let choices = [real[at], other, any];
        choices[usize::from(at >= shared) + usize::from(at > shared)]
    });
    with_checksum(&format!(
        "{PREFIX}{}",
        std::str::from_utf8(&random).unwrap()
    ))
}

/// How guesses are like real keys.
const LIKENESSES: [(&str, Option<usize>); 6] = [
    ("no character", Some(0)),
    ("no character, once more", Some(0)),
    ("8 characters", Some(8)),
    ("16 characters", Some(16)),
    ("all but one", Some(RANDOM - 1)),
    ("16 bits of the digest", None),
];

/// Guesses sent for the first time, which the store is asked for, and again, which are known to be
/// unknown.
async fn guesses(samples: usize) -> [Vec<Times>; 2] {
    let mut site = Site::new(|builder| builder.failures_per_minute(1_000_000_000)).await;
    let (mut real, mut digests) = (Vec::new(), HashSet::new());
    let beginning = |text: &str| {
        let [a, b, ..] = *Digester::sha256().digest(text).as_bytes();
        [a, b]
    };
    // So many that no guess is sent twice, not even of those that differ in one character.
    for _ in 0..samples / 50 + 100 {
        let text = site.key().await;
        assert_eq!(site.status(&bearer(&text), FROM).await, 200);
        digests.insert(beginning(&text));
        real.push(text);
    }
    // All in one row: to write to another place for each class would show in the time.
    let mut taken = Vec::with_capacity(samples * LIKENESSES.len());
    let mut counts = [0; LIKENESSES.len()];
    for _ in 0..samples * LIKENESSES.len() {
        let class = fastrand::usize(0..LIKENESSES.len());
        let sample = counts[class];
        counts[class] += 1;
        let (like, other) = (&real[sample % real.len()], sample / real.len());
        // It takes a search, and leaves its traces in the processor's caches: so for every class.
        let alike = loop {
            let guess = guess(like, 0, other);
            if digests.contains(&beginning(&guess)) {
                break guess;
            }
        };
        let shared = LIKENESSES[class].1;
        let texts = [guess(like, shared.unwrap_or(0), other), alike];
        let key = bearer(&texts[usize::from(shared.is_none())]);
        // The first request after it would be slower than the second for that reason alone.
        site.ask("/public", None, FROM).await;
        let first = time(&mut site, key.clone()).await;
        taken.push((class, [first, time(&mut site, key).await]));
    }
    assert_eq!(site.store.unknown(), taken.len() as u64);
    let mut times = [(); 2].map(|()| vec![Times::new(); LIKENESSES.len()]);
    for (class, pair) in taken {
        for (times, time) in times.iter_mut().zip(pair) {
            times[class].push(time);
        }
    }
    times
}

const STATES: [&str; 5] = ["malformed", "unknown", "revoked", "expired", "disabled"];

/// Keys of each state, sent again and again.
async fn states(samples: usize) -> Vec<Times> {
    const KEYS: usize = 100;
    let mut site = Site::new(|builder| builder.failures_per_minute(1_000_000_000)).await;
    let (actor, hour) = (Actor::system(), Duration::from_secs(3600));
    let mut keys = vec![Vec::new(); STATES.len()];
    for _ in 0..KEYS {
        keys[0].push(site.made_up(false));
        keys[1].push(site.made_up(true));
        for (state, keys) in keys.iter_mut().enumerate().skip(2) {
            let mut new = NewKey::new(OrgId::new("acme").unwrap(), "a key");
            if state == 3 {
                let now = tollgate::core::clock::Clock::now(&site.clock).wall;
                new = new.expires_at(now.after(hour));
            }
            let keyring = site.gate.keyring();
            let issued = keyring.issue(new, &actor).await.unwrap();
            let id = issued.key.id;
            match state {
                2 => drop(keyring.revoke(&id, &actor).await.unwrap()),
                4 => drop(keyring.disable(&id, &actor).await.unwrap()),
                _ => {}
            }
            keys.push(bearer(issued.secret.expose()));
        }
    }
    site.clock.advance(hour);
    for key in keys.iter().flatten() {
        assert_eq!(site.status(key, FROM).await, 401);
    }
    let (found, unknown) = (site.store.found(), site.store.unknown());
    let mut times = vec![Times::new(); STATES.len()];
    for _ in 0..samples * STATES.len() {
        let class = fastrand::usize(0..STATES.len());
        let key = fastrand::choice(&keys[class]).unwrap().clone();
        times[class].push(time(&mut site, key).await);
    }
    assert_eq!((found, unknown), (site.store.found(), site.store.unknown()));
    times
}

/// Welch's t between two classes and the difference of their means, of samples up to a limit.
fn welch(a: &Times, b: &Times, limit: u32) -> (f64, f64) {
    let moments = |times: &Times| {
        let kept = || times.iter().filter(|time| **time <= limit);
        let count = kept().count() as f64;
        let mean = kept().map(|time| f64::from(*time)).sum::<f64>() / count;
        let squares = kept().map(|time| (f64::from(*time) - mean).powi(2));
        (mean, squares.sum::<f64>() / (count - 1.0) / count)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (moments(a), moments(b));
    let difference = mean_a - mean_b;
    (difference / (error_a + error_b).sqrt(), difference)
}

/// Prints a row, and says whether no difference was found.
fn row(names: [&str; 2], a: &Times, b: &Times) -> bool {
    let mut all: Times = a.iter().chain(b).copied().collect();
    let at = all.len() / 10 * 9;
    let limit = *all.select_nth_unstable(at).1;
    let ((raw, raw_by), (cropped, by)) = (welch(a, b, u32::MAX), welch(a, b, limit));
    let [first, second] = names;
    println!("| {first} | {second} | {raw:.1} | {raw_by:.0} | {cropped:.1} | {by:.1} |");
    raw.abs() < WISH && cropped.abs() < WISH
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let samples = std::env::var("SAMPLES").map_or(SAMPLES, |samples| samples.parse().unwrap());
    let head = || {
        println!("| | against | t | slower by ns | t without the slowest tenth | slower by ns |");
        println!("| --- | --- | ---: | ---: | ---: | ---: |");
    };
    println!("{samples} samples a class\n\nGuesses that have this in common with a real key:\n");
    let mut told = 0;
    let times = guesses(samples).await;
    for (times, when) in times.iter().zip(["sent first", "sent again"]) {
        println!("{when}\n");
        head();
        let base = LIKENESSES[0].0;
        for (at, (name, _)) in LIKENESSES.iter().enumerate().skip(1) {
            told += u32::from(!row([name, base], &times[at], &times[0]));
        }
        println!();
    }
    println!("Keys that are no good:\n");
    head();
    let times = states(samples).await;
    for a in 0..STATES.len() {
        for b in 0..a {
            row([STATES[a], STATES[b]], &times[a], &times[b]);
        }
    }
    println!("\nlikenesses that can be told: {told}");
    ExitCode::from(u8::from(told > 0))
}
