//! Alerts, incidents and those behind them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::TEMPLATES;
use super::input::{Few, Text};
use super::samples::{Actor, SOURCE, Samples};

/// The words that tell what an alert is about, and how bad that is; the worst come first.
const CLASSES: [(&str, Severity, &[&str]); 5] = [
    (
        "ransomware",
        Severity::Critical,
        &["ransom", "encrypted files", "shadow cop"],
    ),
    (
        "exfiltration",
        Severity::Critical,
        &["exfiltrat", "large upload", "dns tunnel"],
    ),
    (
        "credential theft",
        Severity::High,
        &["mimikatz", "lsass", "password", "credential"],
    ),
    (
        "phishing",
        Severity::Medium,
        &["phish", "suspicious link", "spoof"],
    ),
    (
        "reconnaissance",
        Severity::Low,
        &["port scan", "enumerat", "probe"],
    ),
];

/// The phases of an incident, in order, and the words that tell them.
const PHASES: [(&str, &[&str]); 5] = [
    (
        "initial access",
        &["phish", "link", "attachment", "exploit"],
    ),
    (
        "execution",
        &["powershell", "macro", "ran", "started", "process"],
    ),
    ("credential access", &["password", "lsass", "credential"]),
    ("lateral movement", &["rdp", "smb", "psexec", "moved"]),
    (
        "impact",
        &["encrypt", "ransom", "deleted", "exfiltrat", "upload"],
    ),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alert {
    title: Text,
    description: Option<Text>,
}

#[derive(Debug, Serialize)]
pub(super) struct Triage {
    severity: Severity,
    classification: &'static str,
    reasoning: String,
    generated_by: &'static str,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Incident {
    events: Few<Event>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Event {
    at: Timestamp,
    what: Text,
}

#[derive(Debug, Serialize)]
pub(super) struct Reconstruction {
    timeline: Vec<Step>,
    lasted_seconds: i64,
    summary: String,
    generated_by: &'static str,
}

#[derive(Debug, Serialize)]
struct Step {
    #[serde(flatten)]
    event: Event,
    seconds_since_first: i64,
    phase: Option<&'static str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Observed {
    techniques: Few<Technique>,
}

/// A technique of MITRE ATT&CK: `T1566` or `T1059.001`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String")]
struct Technique(String);

#[derive(Debug, Serialize)]
pub(super) struct Profiles {
    /// The likeliest first; those with nothing in common are left out.
    candidates: Vec<Candidate>,
    source: &'static str,
    generated_by: &'static str,
}

#[derive(Debug, Serialize)]
struct Candidate {
    #[serde(flatten)]
    actor: Actor,
    in_common: Vec<Technique>,
    /// How many of the observed techniques are the actor's, in percent.
    match_percent: usize,
}

pub(super) async fn triage(Json(alert): Json<Alert>) -> Json<Triage> {
    let description = alert.description.as_ref().map_or("", Text::as_str);
    let text = format!("{} {description}", alert.title.as_str()).to_lowercase();
    let found = CLASSES.iter().find_map(|(class, severity, words)| {
        let word = words.iter().find(|word| text.contains(**word))?;
        Some((*class, *severity, *word))
    });
    let (classification, severity, reasoning) = match found {
        Some((class, severity, word)) => (
            class,
            severity,
            format!("The alert speaks of “{word}”, which points to {class}."),
        ),
        None => (
            "unclassified",
            Severity::Low,
            "The alert has none of the words that the templates know.".to_owned(),
        ),
    };
    Json(Triage {
        severity,
        classification,
        reasoning,
        generated_by: TEMPLATES,
    })
}

pub(super) async fn analyze(Json(incident): Json<Incident>) -> Json<Reconstruction> {
    let mut events = incident.events.into_vec();
    events.sort_by_key(|event| event.at);
    let first = events
        .first()
        .map_or(Timestamp::UNIX_EPOCH, |event| event.at);
    let since = |at: Timestamp| at.as_second().saturating_sub(first.as_second());
    let lasted_seconds = events.last().map_or(0, |event| since(event.at));
    let steps = events.into_iter().map(|event| Step {
        seconds_since_first: since(event.at),
        phase: phase(event.what.as_str()),
        event,
    });
    let timeline: Vec<Step> = steps.collect();
    let mut phases: Vec<&str> = timeline.iter().filter_map(|step| step.phase).collect();
    phases.dedup();
    let summary = format!(
        "{} events from {first} on, {lasted_seconds} seconds: {}.",
        timeline.len(),
        if phases.is_empty() {
            "no known phase".to_owned()
        } else {
            phases.join(", then ")
        },
    );
    Json(Reconstruction {
        timeline,
        lasted_seconds,
        summary,
        generated_by: TEMPLATES,
    })
}

pub(super) async fn profile(
    State(known): State<Arc<Samples>>,
    Json(observed): Json<Observed>,
) -> Json<Profiles> {
    let mut observed = observed.techniques.into_vec();
    observed.sort_by(|a, b| a.0.cmp(&b.0));
    observed.dedup();
    let candidates = known.actors.iter().map(|actor| {
        let theirs = |technique: &&Technique| actor.techniques.contains(&technique.0);
        let in_common: Vec<Technique> = observed.iter().filter(theirs).cloned().collect();
        let hundredfold = in_common.len().saturating_mul(100);
        Candidate {
            actor: actor.clone(),
            match_percent: hundredfold.checked_div(observed.len()).unwrap_or(0),
            in_common,
        }
    });
    let mut candidates: Vec<Candidate> = candidates.filter(|it| !it.in_common.is_empty()).collect();
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.match_percent));
    Json(Profiles {
        candidates,
        source: SOURCE,
        generated_by: TEMPLATES,
    })
}

fn phase(what: &str) -> Option<&'static str> {
    let what = what.to_lowercase();
    let named = |words: &[&str]| words.iter().any(|word| what.contains(word));
    PHASES
        .iter()
        .find(|(_, words)| named(words))
        .map(|(phase, _)| *phase)
}

impl TryFrom<String> for Technique {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let id = text.trim().to_ascii_uppercase();
        let digits =
            |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
        let good = id
            .strip_prefix('T')
            .is_some_and(|id| match id.split_once('.') {
                Some((technique, part)) => digits(technique, 4) && digits(part, 3),
                None => digits(id, 4),
            });
        if !good {
            let shown: String = text.chars().take(16).flat_map(char::escape_debug).collect();
            return Err(format!(
                "cannot use `{shown}`: write a technique such as `T1566.002`"
            ));
        }
        Ok(Self(id))
    }
}
