//! Watches what is logged, and what is answered, for secrets.

use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::record::ApiKey;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// How many gates are watched for; without any, nothing is written out.
static WATCHES: AtomicUsize = AtomicUsize::new(0);

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// A secret that nobody may print.
struct Known {
    watch: usize,
    key: KeyId,
    organization: OrgId,
    secret: String,
    /// The line in which it was logged.
    logged: Option<String>,
}

/// Looks for secrets in what is logged at any level; nothing else of it is kept.
///
/// A [`TestGate`](super::TestGate) installs it for the whole process. Tests that install a
/// subscriber of their own, before the first gate, add this to it.
#[must_use = "a layer does nothing until it is added to a subscriber"]
pub fn log_watch<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_subscriber::fmt::layer()
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(|| Lines)
        .with_filter(dynamic_filter_fn(|_, _| {
            WATCHES.load(Ordering::Relaxed) > 0
        }))
}

/// Sees each line that is logged.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        for known in KNOWN.lock().iter_mut() {
            if known.logged.is_none() && text.contains(&known.secret) {
                known.logged = Some(text.replace(&known.secret, "(its secret)"));
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The watch over the secrets of one gate; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Watch(usize);

impl Watch {
    pub(super) fn begin() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            // Whoever has a subscriber of their own has added the watch to it, or goes without.
            let _ = tracing_subscriber::registry().with(log_watch()).try_init();
        });
        WATCHES.fetch_add(1, Ordering::Relaxed);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn add(&self, key: &ApiKey, secret: &str) {
        KNOWN.lock().push(Known {
            watch: self.0,
            key: key.id,
            organization: key.organization.clone(),
            secret: secret.to_owned(),
            logged: None,
        });
    }

    /// The key whose secret is in a text, and its organization.
    pub(super) fn find(&self, text: &[u8]) -> Option<(KeyId, OrgId)> {
        let text = String::from_utf8_lossy(text);
        let known = KNOWN.lock();
        let mut mine = known.iter().filter(|known| known.watch == self.0);
        let found = mine.find(|known| text.contains(&known.secret));
        found.map(|known| (known.key, known.organization.clone()))
    }

    /// A text in which no secret can be read.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut hidden = text.to_owned();
        for known in KNOWN.lock().iter() {
            if known.watch == self.0 {
                hidden = hidden.replace(&known.secret, &format!("(secret of {})", known.key));
            }
        }
        hidden
    }

    /// What was logged with a secret in it.
    pub(super) fn logged(&self) -> Option<String> {
        let known = KNOWN.lock();
        let mut mine = known.iter().filter(|known| known.watch == self.0);
        mine.find_map(|known| {
            let line = known.logged.as_ref()?.trim();
            Some(format!(
                "the secret of key {} was logged: {line}",
                known.key
            ))
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        KNOWN.lock().retain(|known| known.watch != self.0);
        WATCHES.fetch_sub(1, Ordering::Relaxed);
    }
}
