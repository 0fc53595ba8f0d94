//! Projects, which emails may name. They come with the organization, and can only be listed.

use serde::Serialize;
use tollgate::Denial;

use super::account::Records;
use super::records::{Record, Shelf};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Project {
    pub(crate) name: String,
}

impl Record for Project {
    const KIND: &'static str = "project";

    fn shelf(records: &mut Records) -> &mut Shelf<Self> {
        &mut records.projects
    }

    fn check(&self, _: &Records) -> Result<(), Denial> {
        Ok(())
    }
}
