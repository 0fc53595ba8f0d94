//! Credits: the wallet of an organization, and its books.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tollgate::{Denial, DenialKind};
use tollgate_core::credits::{Balance, Entry, Grant, Refund};
use tollgate_core::id::HoldId;
use utoipa::ToSchema;

use crate::extract::{Body, Nothing, Params, Reason, Time};
use crate::manager::Member;
use crate::organizations::OrganizationPath;
use crate::page::{List, One, PageParams, one_more};

/// A wallet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BalanceView {
    /// What can still be held.
    #[schema(example = 900)]
    available: u64,
    /// All that was ever granted.
    #[schema(example = 1000)]
    granted: u64,
    /// What lapsed of it, or was taken back.
    withdrawn: u64,
    /// All that was charged and not refunded.
    #[schema(example = 97)]
    settled: u64,
    /// All that is set aside now.
    #[schema(example = 3)]
    held: u64,
}

impl From<Balance> for BalanceView {
    fn from(balance: Balance) -> Self {
        Self {
            available: balance.available(),
            granted: balance.granted,
            withdrawn: balance.withdrawn,
            settled: balance.settled,
            held: balance.held,
        }
    }
}

/// A line of the books.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntryView {
    /// Its place: later lines have larger numbers.
    #[schema(example = 42)]
    seq: u64,
    /// When.
    at: Time,
    /// What happened: `grant`, `charge`, `refund`, …
    #[schema(value_type = String, example = "charge")]
    kind: serde_json::Value,
    /// By how many credits the balance grew; negative where it fell.
    #[schema(example = -3)]
    credits: i64,
    /// The balance then.
    #[schema(example = 897)]
    balance: u64,
    /// The hold that was settled or refunded.
    hold: Option<String>,
    /// The key that was charged.
    key: Option<String>,
    /// The route that it was charged for.
    route: Option<String>,
    /// The request that it was charged for.
    request_id: Option<String>,
    /// What the route costs.
    #[schema(example = "3/item")]
    price: Option<String>,
    /// Who granted, withdrew or refunded.
    actor: Option<String>,
    /// Why, in their words.
    reason: Option<String>,
    /// What the grant or refund was for.
    reference: Option<String>,
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            seq: entry.seq,
            at: Time(entry.at),
            kind: serde_json::to_value(entry.kind).unwrap_or_default(),
            credits: entry.credits,
            balance: entry.balance,
            hold: entry.hold.map(|hold| hold.to_string()),
            key: entry.key.map(|key| key.to_string()),
            route: entry.route.map(|route| route.to_string()),
            request_id: entry.request_id,
            price: entry.price,
            actor: entry.actor,
            reason: entry.reason,
            reference: entry.reference,
        }
    }
}

/// Credits to be given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantBody {
    /// How many.
    #[schema(example = 500, minimum = 1)]
    credits: u64,
    /// When what is left of them lapses; never unless said.
    expires_at: Option<Time>,
    /// Lower ones are spent first; 50 unless said.
    priority: Option<u8>,
    /// What they are given for: of one reference, credits are given once.
    #[schema(example = "payment-4711")]
    reference: Option<String>,
    /// Why, for the books and the audit trail.
    #[schema(value_type = Option<String>)]
    reason: Option<Reason>,
}

/// Credits to be given or taken by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdjustmentBody {
    /// How many to give; negative to take what is neither spent nor held.
    #[schema(example = -20)]
    credits: i64,
    /// Why, for the books and the audit trail.
    #[schema(value_type = String, example = "granted twice by mistake")]
    reason: Reason,
}

/// A charge to be given back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundBody {
    /// The hold that was settled, as the books name it.
    hold: String,
    /// How many credits of it.
    #[schema(example = 3, minimum = 1)]
    credits: u64,
    /// Names the refund: of one reference, credits are given back once.
    #[schema(example = "complaint-17")]
    reference: String,
    /// Why, for the books and the audit trail.
    #[schema(value_type = Option<String>)]
    reason: Option<Reason>,
}

/// Shows the wallet, as the next request would find it.
#[utoipa::path(
    get, path = "/organizations/{organization}/credits", tag = "credits", params(OrganizationPath),
    responses((status = 200, description = "The wallet", body = One<BalanceView>))
)]
pub(crate) async fn balance(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Json<One<BalanceView>>, Denial> {
    member.there().await?;
    let balance = member.desk.gate.credits().balance(&member.organization);
    Ok(one(balance.await?))
}

/// Lists the lines of the books, the newest first.
#[utoipa::path(
    get, path = "/organizations/{organization}/credits/entries", tag = "credits",
    params(OrganizationPath, PageParams),
    responses((status = 200, description = "A page of the books", body = List<EntryView>))
)]
pub(crate) async fn entries(
    member: Member,
    Params(page): Params<PageParams>,
) -> Result<Json<List<EntryView>>, Denial> {
    member.there().await?;
    let limit = page.limit()?;
    let before = page.after("entries")?;
    let credits = member.desk.gate.credits();
    let found = credits.entries(&member.organization, before, one_more(limit));
    let views = found.await?.into_iter().map(EntryView::from).collect();
    let page = List::page("entries", limit, views, |last: &EntryView| last.seq);
    Ok(Json(page))
}

/// Gives credits, once for each reference.
#[utoipa::path(
    post, path = "/organizations/{organization}/credits/grants", tag = "credits",
    params(OrganizationPath), request_body = GrantBody,
    responses(
        (status = 201, description = "The wallet", body = One<BalanceView>),
        (status = 409, description = "They cannot be counted, or the reference is a refund's",
            body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn grant(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Body(body): Body<GrantBody>,
) -> Result<Response, Denial> {
    some("credits", body.credits)?;
    let mut grant = Grant::new(member.organization.clone(), body.credits);
    if let Some(Time(end)) = body.expires_at {
        grant = grant.expires_at(end);
    }
    if let Some(priority) = body.priority {
        grant = grant.priority(priority);
    }
    if let Some(name) = body.reference {
        grant = grant.reference(reference(name)?);
    }
    let actor = member.actor(body.reason).await?;
    let balance = member.desk.gate.credits().grant(grant, &actor).await?;
    Ok((StatusCode::CREATED, one(balance)).into_response())
}

/// Gives or takes credits by hand.
#[utoipa::path(
    post, path = "/organizations/{organization}/credits/adjustments", tag = "credits",
    params(OrganizationPath), request_body = AdjustmentBody,
    responses(
        (status = 201, description = "The wallet", body = One<BalanceView>),
        (status = 409, description = "There are not so many to take",
            body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn adjust(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Body(body): Body<AdjustmentBody>,
) -> Result<Response, Denial> {
    member.there().await?;
    let credits = body.credits.unsigned_abs();
    some("credits", credits)?;
    let actor = member.actor(Some(body.reason)).await?;
    let (wallets, id) = (member.desk.gate.credits(), &member.organization);
    let balance = if body.credits < 0 {
        wallets.withdraw(id, credits, &actor).await?
    } else {
        wallets
            .grant(Grant::new(id.clone(), credits), &actor)
            .await?
    };
    Ok((StatusCode::CREATED, one(balance)).into_response())
}

/// Gives back what a request was charged, once for each reference.
#[utoipa::path(
    post, path = "/organizations/{organization}/credits/refunds", tag = "credits",
    params(OrganizationPath), request_body = RefundBody,
    responses(
        (status = 201, description = "The wallet", body = One<BalanceView>),
        (status = 409, description = "That is more than is left of the charge, or the reference \
            is another's", body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn refund(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Body(body): Body<RefundBody>,
) -> Result<Response, Denial> {
    member.there().await?;
    some("credits", body.credits)?;
    let hold: HoldId = body.hold.parse()?;
    let refund = Refund {
        organization: member.organization.clone(),
        hold,
        credits: body.credits,
        reference: reference(body.reference)?,
    };
    let actor = member.actor(body.reason).await?;
    let balance = member.desk.gate.credits().refund(refund, &actor).await?;
    Ok((StatusCode::CREATED, one(balance)).into_response())
}

fn one(balance: Balance) -> Json<One<BalanceView>> {
    let data = balance.into();
    Json(One { data })
}

fn some(place: &str, credits: u64) -> Result<(), Denial> {
    if credits == 0 {
        let message = format!("{place}: 0 changes nothing");
        return Err(Denial::new(DenialKind::Status(422)).with_message(message));
    }
    Ok(())
}

fn reference(text: String) -> Result<String, Denial> {
    if text.trim().is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
        let message = format!(
            "reference: {} bytes are not 1 to 200 of one line",
            text.len()
        );
        return Err(Denial::new(DenialKind::Status(422)).with_message(message));
    }
    Ok(text)
}
