//! E-mails, read from raw `.eml` and judged by what can be seen in them.

use axum::Json;
use axum::body::Bytes;
use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use serde::Serialize;
use tollgate::{Denial, DenialKind};

use self::heuristics::{Finding, Verdict, findings, verdict};
use self::links::Link;
use super::input::Domain;

mod heuristics;
mod links;

/// More links than this are not listed, nor judged.
const MOST_LINKS: usize = 200;

/// What was read of an e-mail.
#[derive(Debug, Default, Serialize)]
pub(super) struct Email {
    subject: String,
    from: Mailbox,
    reply_to: Option<Mailbox>,
    return_path: Option<String>,
    authentication: Authentication,
    links: Vec<Link>,
    attachments: Vec<String>,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Default, Serialize)]
struct Mailbox {
    name: Option<String>,
    address: String,
}

/// What the receiving server found out about the sender.
#[derive(Debug, Default, Serialize)]
struct Authentication {
    spf: Option<String>,
    dkim: Option<String>,
    dmarc: Option<String>,
}

/// An e-mail, and what is wrong with it.
#[derive(Debug, Serialize)]
pub(super) struct Analysis {
    #[serde(flatten)]
    email: Email,
    findings: Vec<Finding>,
    score: u32,
    verdict: Verdict,
}

/// The same with a verdict in words.
#[derive(Debug, Serialize)]
pub(super) struct AiAnalysis {
    #[serde(flatten)]
    analysis: Analysis,
    reasoning: String,
    confidence: &'static str,
    generated_by: &'static str,
}

pub(super) async fn analyze(raw: Bytes) -> Result<Json<Analysis>, Denial> {
    Ok(Json(Analysis::of(Email::read(&raw)?)))
}

pub(super) async fn analyze_with_ai(raw: Bytes) -> Result<Json<AiAnalysis>, Denial> {
    Ok(Json(AiAnalysis::of(Analysis::of(Email::read(&raw)?))))
}

impl Email {
    /// Reads a raw message.
    fn read(raw: &[u8]) -> Result<Self, Denial> {
        let message = MessageParser::default().parse(raw).ok_or_else(no_email)?;
        let from = message.from().and_then(|from| Mailbox::first(from));
        let mut email = Self {
            subject: message.subject().unwrap_or_default().to_owned(),
            from: from.ok_or_else(no_email)?,
            reply_to: message.reply_to().and_then(|to| Mailbox::first(to)),
            return_path: message.return_path().as_text().map(ToOwned::to_owned),
            authentication: Authentication::of(&message),
            ..Self::default()
        };
        for part in &message.parts {
            match &part.body {
                PartType::Html(html) => {
                    email.links.extend(links::in_html(html));
                    email.text.push_str(html);
                }
                PartType::Text(text) => {
                    email.links.extend(links::in_text(text));
                    email.text.push_str(text);
                }
                _ => {}
            }
        }
        email.links.truncate(MOST_LINKS);
        let names = message
            .attachments()
            .filter_map(|part| part.attachment_name());
        email.attachments = names.map(ToOwned::to_owned).collect();
        Ok(email)
    }
}

impl Mailbox {
    fn first(address: &mail_parser::Address<'_>) -> Option<Self> {
        let first = address.first()?;
        Some(Self {
            name: first.name().map(ToOwned::to_owned),
            address: first.address()?.to_owned(),
        })
    }

    fn domain(&self) -> Option<Domain> {
        domain_of(&self.address)
    }
}

impl Authentication {
    /// The first `Authentication-Results` counts: the receiving server writes it above those that
    /// the sender may have made up.
    fn of(message: &Message<'_>) -> Self {
        let mut headers = message.headers_raw();
        let results = headers.find(|(name, _)| name.eq_ignore_ascii_case("authentication-results"));
        let Some((_, results)) = results else {
            return Self::default();
        };
        let result = |method: &str| {
            let mut results = results
                .split(';')
                .filter_map(|part| part.trim().split_once('='));
            let (_, result) = results.find(|(name, _)| name.trim().eq_ignore_ascii_case(method))?;
            let word = result.split_ascii_whitespace().next()?;
            Some(word.to_ascii_lowercase())
        };
        Self {
            spf: result("spf"),
            dkim: result("dkim"),
            dmarc: result("dmarc"),
        }
    }
}

impl Analysis {
    fn of(email: Email) -> Self {
        let findings = findings(&email);
        let (score, verdict) = verdict(&findings);
        Self {
            email,
            findings,
            score,
            verdict,
        }
    }
}

impl AiAnalysis {
    fn of(analysis: Analysis) -> Self {
        let Analysis {
            email,
            findings,
            score,
            verdict,
        } = &analysis;
        let reasons: Vec<&str> = findings.iter().map(Finding::detail).collect();
        let reasons = if reasons.is_empty() {
            "nothing about it stands out".to_owned()
        } else {
            reasons.join("; ")
        };
        let reasoning = format!(
            "The e-mail from {} looks {} ({score} of 100 points): {reasons}.",
            email.from.address,
            verdict.as_str(),
        );
        let confidence = match findings.len() {
            0 | 1 => "low",
            2 | 3 => "medium",
            _ => "high",
        };
        Self {
            analysis,
            reasoning,
            confidence,
            generated_by: super::TEMPLATES,
        }
    }
}

fn domain_of(address: &str) -> Option<Domain> {
    let (_, domain) = address.rsplit_once('@')?;
    Domain::try_from(domain.to_owned()).ok()
}

fn no_email() -> Denial {
    Denial::new(DenialKind::Status(422)).with_message(
        "The body is no e-mail with a `From`; send the raw message, as it is in an `.eml` file.",
    )
}
