//! The assistant for questions of forensics. It costs what the conversation took.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tollgate::{Bill, Denial};

use super::input::{Indicator, Text};
use super::samples::Samples;
use super::{CHAT_CREDITS, TEMPLATES};

/// How many tokens a credit pays for.
const TOKENS_PER_CREDIT: u64 = 50;

/// What is said about a subject, by the words that name it.
const SUBJECTS: [(&[&str], &str); 5] = [
    (
        &["phish", "e-mail", "email"],
        "Keep the raw message with all of its headers, and see who else got it. Look at the first \
         Authentication-Results and at where replies and links go.",
    ),
    (
        &["powershell", "script", "macro"],
        "Collect the script block log (event 4104) and the process that started it. Decode what \
         is in base64 before you judge it.",
    ),
    (
        &["ransom", "encrypt"],
        "Cut the host from the network and leave it switched on. Keep its memory, find the first \
         encrypted file, and check that the backups are out of reach.",
    ),
    (
        &["log", "login", "sign-in"],
        "Put all times into UTC, then list who signed in from where. Begin with addresses that \
         were never seen before.",
    ),
    (
        &["memory", "dump"],
        "Take the image before anything else, and note its SHA-256. Look for processes without a \
         parent and for code outside of any module.",
    ),
];

const ANYTHING_ELSE: &str = "Write down what is known and since when, what is only assumed, and \
                             which evidence would decide it. Secure that evidence first.";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    message: Text,
}

#[derive(Debug, Serialize)]
pub(super) struct Conversation {
    reply: String,
    tokens: u64,
    credits: u64,
    generated_by: &'static str,
}

/// Holds the price of the reply once it is known, and charges that.
pub(super) async fn chat(
    State(known): State<Arc<Samples>>,
    mut bill: Bill,
    Json(question): Json<Question>,
) -> Result<Json<Conversation>, Denial> {
    let question = question.message.as_str();
    let reply = reply_to(question, &known);
    let tokens = tokens(question).saturating_add(tokens(&reply));
    let (least, most) = CHAT_CREDITS;
    let credits = tokens.div_ceil(TOKENS_PER_CREDIT).clamp(least, most);
    bill.hold(credits).await?;
    bill.set(credits)?;
    Ok(Json(Conversation {
        reply,
        tokens,
        credits,
        generated_by: TEMPLATES,
    }))
}

/// What there is to say about the subjects and the indicators of a question.
fn reply_to(question: &str, known: &Samples) -> String {
    let lower = question.to_lowercase();
    let named = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let subjects = SUBJECTS.iter().filter(|(words, _)| named(words));
    let mut told: Vec<String> = subjects.map(|(_, told)| (*told).to_owned()).collect();
    if told.is_empty() {
        told.push(ANYTHING_ELSE.to_owned());
    }
    for word in question.split_whitespace() {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/');
        if let Ok(indicator) = Indicator::try_from(word.to_owned())
            && let Some(sample) = known.indicators.find(&indicator)
            && let Some(verdict) = sample.get("verdict").and_then(|verdict| verdict.as_str())
        {
            told.push(format!("The sample data calls {indicator} {verdict}."));
        }
    }
    told.join(" ")
}

/// A token is a word here.
fn tokens(text: &str) -> u64 {
    u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assistant_speaks_of_what_was_asked() {
        let known = Samples::bundled().unwrap();
        let reply = reply_to("A macro from https://evil.example/login, now what?", &known);
        assert!(reply.contains("4104"), "{reply}");
        assert!(
            reply.contains("https://evil.example/login malicious"),
            "{reply}"
        );
        assert_eq!(reply_to("Hello?", &known), ANYTHING_ELSE);
    }
}
