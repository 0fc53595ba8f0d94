//! Records of every kind, and the handlers that list, show, create, update and delete them.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate::{Denial, DenialKind};

use super::account::{Account, Records};

/// How many records of a kind an organization has at most.
const MOST_RECORDS: usize = 200;

/// A kind of record.
pub(crate) trait Record: Clone + Serialize + Send + 'static {
    /// What one is called, which is also how its id begins.
    const KIND: &'static str;

    /// Where they are kept.
    fn shelf(records: &mut Records) -> &mut Shelf<Self>;

    /// Whether it makes sense beside the other records.
    fn check(&self, records: &Records) -> Result<(), Denial>;

    /// What no other record of this kind may have too, if there is such a thing.
    fn unique(&self) -> Option<&str> {
        None
    }
}

/// A record with what it is given when it is made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stored<T> {
    pub(crate) id: String,
    pub(crate) created_at: String,
    #[serde(flatten)]
    pub(crate) record: T,
}

/// The records of one kind, the oldest first.
#[derive(Debug)]
pub(crate) struct Shelf<T>(Vec<Stored<T>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Record> Shelf<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stored<T>> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stored<T>> {
        self.0.iter_mut()
    }

    pub(crate) fn find(&self, id: &str) -> Result<&Stored<T>, Denial> {
        let found = self.0.iter().find(|stored| stored.id == id);
        found.ok_or_else(|| unknown(T::KIND, id))
    }

    pub(crate) fn find_mut(&mut self, id: &str) -> Result<&mut Stored<T>, Denial> {
        let found = self.0.iter_mut().find(|stored| stored.id == id);
        found.ok_or_else(|| unknown(T::KIND, id))
    }

    /// Adds a record, unless there is one like it, or too many.
    pub(crate) fn add(&mut self, stored: Stored<T>) -> Result<(), Denial> {
        self.refuse_another(&stored.record, None)?;
        if self.0.len() >= MOST_RECORDS {
            let kind = T::KIND;
            return Err(conflict(format!(
                "An organization has {MOST_RECORDS} records of the kind `{kind}` at most; delete one first."
            )));
        }
        self.0.push(stored);
        Ok(())
    }

    /// Adds a record; where there are too many, the oldest one is forgotten.
    pub(crate) fn log(&mut self, stored: Stored<T>) {
        if self.0.len() >= MOST_RECORDS {
            self.0.remove(0);
        }
        self.0.push(stored);
    }

    fn replace(&mut self, id: &str, record: T) -> Result<&Stored<T>, Denial> {
        self.find(id)?;
        self.refuse_another(&record, Some(id))?;
        let stored = self.find_mut(id)?;
        stored.record = record;
        Ok(stored)
    }

    pub(crate) fn remove(&mut self, id: &str) -> Result<(), Denial> {
        self.find(id)?;
        self.0.retain(|stored| stored.id != id);
        Ok(())
    }

    fn refuse_another(&self, record: &T, id: Option<&str>) -> Result<(), Denial> {
        let (Some(unique), kind) = (record.unique(), T::KIND) else {
            return Ok(());
        };
        let same = |stored: &&Stored<T>| {
            let others = stored.record.unique();
            Some(stored.id.as_str()) != id
                && others.is_some_and(|other| other.eq_ignore_ascii_case(unique))
        };
        match self.0.iter().find(same) {
            Some(Stored { id, .. }) => Err(conflict(format!(
                "There is a {kind} `{unique}` already; use `{id}`."
            ))),
            None => Ok(()),
        }
    }
}

/// What is said of an id that is not there, and of another organization's.
fn unknown(kind: &str, id: &str) -> Denial {
    let message = format!("There is no {kind} `{id}`; list those that there are.");
    Denial::new(DenialKind::Status(404)).with_message(message)
}

fn conflict(message: String) -> Denial {
    Denial::new(DenialKind::Status(409)).with_message(message)
}

pub(crate) async fn list<T: Record>(account: Account) -> Json<Vec<Stored<T>>> {
    let mut records = account.records();
    Json(T::shelf(&mut records).iter().cloned().collect())
}

pub(crate) async fn show<T: Record>(
    account: Account,
    Path(id): Path<String>,
) -> Result<Json<Stored<T>>, Denial> {
    let mut records = account.records();
    Ok(Json(T::shelf(&mut records).find(&id)?.clone()))
}

pub(crate) async fn create<T: Record + DeserializeOwned>(
    account: Account,
    Json(new): Json<T>,
) -> Result<(StatusCode, Json<Stored<T>>), Denial> {
    let mut records = account.records();
    new.check(&records)?;
    let stored = account.stored(new);
    T::shelf(&mut records).add(stored.clone())?;
    Ok((StatusCode::CREATED, Json(stored)))
}

/// Replaces all of a record but its id.
pub(crate) async fn update<T: Record + DeserializeOwned>(
    account: Account,
    Path(id): Path<String>,
    Json(new): Json<T>,
) -> Result<Json<Stored<T>>, Denial> {
    let mut records = account.records();
    T::shelf(&mut records).find(&id)?;
    new.check(&records)?;
    Ok(Json(T::shelf(&mut records).replace(&id, new)?.clone()))
}

pub(crate) async fn delete<T: Record>(
    account: Account,
    Path(id): Path<String>,
) -> Result<StatusCode, Denial> {
    T::shelf(&mut account.records()).remove(&id)?;
    Ok(StatusCode::NO_CONTENT)
}
