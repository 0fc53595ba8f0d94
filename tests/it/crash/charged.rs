//! Whether a request was charged as it was answered.

use super::app::SLICE;
use super::books::{Hold, expect};
use super::client::{Answer, Kind, Sent};

/// Compares a request with its hold and its charges, after the process that answered it.
pub(crate) fn agrees(sent: &Sent, hold: Option<&Hold>, paid: &[u64]) -> Result<(), String> {
    let charged = match paid {
        [] => 0,
        [charged] => *charged,
        _ => return Err("charged twice".to_owned()),
    };
    let of_hold = hold.map_or(0, |hold| u64::try_from(hold.charged).unwrap());
    expect("the charge of the hold", &of_hold, &charged)?;
    if hold.is_some_and(|hold| hold.organization != sent.organization) {
        return Err("held of somebody else".to_owned());
    }
    if let Kind::Stream(_) = sent.kind {
        return stream_agrees(sent, hold, charged);
    }
    let Some(answer) = &sent.answer else {
        // Whatever it costs; the answer was on its way.
        return at_most(charged, sent.kind.most());
    };
    let state = hold.map_or("", |hold| &hold.state);
    match (answer.status, sent.kind) {
        (200, Kind::Free) => expect("the hold of what is free", &state, &""),
        (200, Kind::Once) if answer.replayed => expect("the hold of a replay", &state, &""),
        (200, kind) => {
            let price = price(kind, answer)?;
            match state {
                "settled" => expect("the charge", &charged, &price),
                "open" if !kind.is_durable() => Ok(()),
                _ => Err("answered, and not charged".to_owned()),
            }
        }
        (402, _) | (409, Kind::Once) | (500, Kind::Failing) => match state {
            "" | "open" | "voided" => at_most(charged, 0),
            _ => Err("charged for nothing".to_owned()),
        },
        _ => Err("an answer that it may not have".to_owned()),
    }
}

/// What an answer says that it costs, which is what it has to cost.
fn price(kind: Kind, answer: &Answer) -> Result<u64, String> {
    let price = answer.charged.ok_or("no word of the charge")?;
    if let Kind::Between(_) = kind {
        if answer.whole {
            expect("the charge it says", &answer.body, &price.to_string())?;
        }
        at_most(price, kind.most())?;
    } else {
        expect("the charge it says", &price, &kind.most())?;
    }
    Ok(price)
}

/// Delivered ≤ charged ≤ delivered + a slice. What hyper had and did not send when the process
/// died counts as delivered, and is not seen here: that is one item, since each is waited for.
fn stream_agrees(sent: &Sent, hold: Option<&Hold>, charged: u64) -> Result<(), String> {
    let (status, body) = match &sent.answer {
        Some(answer) => (answer.status, &*answer.body),
        None => (0, ""),
    };
    let items = body.lines().filter(|line| !line.starts_with("end: "));
    let delivered = u64::try_from(items.count()).unwrap();
    let Some(hold) = hold else {
        return match status {
            0 | 402 => Ok(()),
            _ => Err("delivered for nothing".to_owned()),
        };
    };
    let most = delivered + u64::from(SLICE) + 1;
    let whole = sent.answered().is_some();
    let due = match &*hold.state {
        "settled" if whole => return expect("the charge", &charged, &delivered),
        "settled" => charged,
        "open" => u64::try_from(hold.owed).unwrap(),
        // The ledger was down before the first item.
        "voided" if delivered == 0 => return Ok(()),
        _ => return Err("a stream that costs nothing".to_owned()),
    };
    if due < delivered || status == 402 {
        return Err(format!("{delivered} items for {due}"));
    }
    at_most(due, most)
}

fn at_most(charged: u64, most: u64) -> Result<(), String> {
    if charged <= most {
        return Ok(());
    }
    Err(format!("{charged} charged, {most} at most"))
}
