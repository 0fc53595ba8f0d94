//! Messages to telephones: measured, numbered and answered, never sent.

use axum::Json;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tollgate::Denial;

use super::account::Account;
use super::checks;
use super::emails::NOT_SENT;

/// The longest message; an SMS of this length has many parts.
const LONGEST_MESSAGE: usize = 4096;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    to: String,
    text: String,
}

/// What became of a message. Nobody can ask for it again, so it is not kept.
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    id: String,
    created_at: String,
    to: String,
    text: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<usize>,
    note: &'static str,
}

type Accepted = (StatusCode, Json<Message>);

pub(crate) async fn sms(account: Account, Json(new): Json<NewMessage>) -> Result<Accepted, Denial> {
    let parts = parts(&new.text);
    accepted(&account, "sms", new, Some(parts))
}

pub(crate) async fn whatsapp(
    account: Account,
    Json(new): Json<NewMessage>,
) -> Result<Accepted, Denial> {
    accepted(&account, "whatsapp", new, None)
}

fn accepted(
    account: &Account,
    channel: &str,
    new: NewMessage,
    parts: Option<usize>,
) -> Result<Accepted, Denial> {
    checks::phone("to", &new.to)?;
    checks::text("text", &new.text, LONGEST_MESSAGE)?;
    let message = Message {
        id: account.new_id(channel),
        created_at: account.now(),
        to: new.to,
        text: new.text,
        status: "queued",
        parts,
        note: NOT_SENT,
    };
    Ok((StatusCode::ACCEPTED, Json(message)))
}

/// In how many messages a text is sent: of 160 characters if all are of ASCII, which stands here
/// for the alphabet of GSM, else of 70; a few less where there are several, to count them.
fn parts(text: &str) -> usize {
    let (length, alone, one_of_many) = if text.is_ascii() {
        (text.len(), 160, 153)
    } else {
        (text.encode_utf16().count(), 70, 67)
    };
    if length <= alone {
        1
    } else {
        length.div_ceil(one_of_many)
    }
}
