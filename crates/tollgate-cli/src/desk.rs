//! What a command works at: the database, the catalog, and whoever sits there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::accounts::Accounts;
use tollgate_core::audit::AuditKey;
use tollgate_core::catalog::Catalog;
use tollgate_core::change::{Actor, Change};
use tollgate_core::clock::{Clock as _, Steady, SystemClock, Timestamp};
use tollgate_core::deadline::within;
use tollgate_core::error::StoreError;
use tollgate_core::id::OrgId;
use tollgate_core::keyring::{KeyImporter, Keyring, NewOrganization};
use tollgate_core::memory::MemoryStore;
use tollgate_core::record::Organization;
use tollgate_core::reply::Reply;
use tollgate_core::secret::Digester;
use tollgate_core::store::{CatalogStore as _, Declaration};
use tollgate_sqlx::AnyStore;

use crate::args::{Settings, Why};
use crate::failure::Failure;
use crate::out::note;
use crate::{actor, file, seal};

/// How long a store may take to answer: a terminal is patient, but not for ever.
const DEADLINE: Duration = Duration::from_secs(15);

/// How many rows are read at once.
pub(crate) const PAGE: u32 = 500;

/// The database that a command was told, open.
#[derive(Debug)]
pub(crate) struct Desk {
    store: Arc<AnyStore>,
    clock: Arc<SystemClock>,
    digester: Digester,
    audit_key: AuditKey,
    /// Whether that key is from a file.
    keyed: bool,
    /// A catalog file that was given, and what it declares if it was read already.
    given: Option<(PathBuf, Option<Catalog>)>,
}

impl Desk {
    /// Opens the database, does the work, and closes it however the work ended. Only a command for a
    /// `first` organization gets one that does not exist.
    pub(crate) async fn at(
        settings: &Settings,
        first: Option<NewOrganization>,
        work: impl AsyncFnOnce(&Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let desk = Self::open(settings, first).await?;
        let done = work(&desk).await;
        desk.store.close().await;
        done
    }

    async fn open(settings: &Settings, first: Option<NewOrganization>) -> Result<Self, Failure> {
        let Some(database) = &settings.database else {
            return Err(Failure::usage(
                "no database is named; write `--database sqlite://keys.db`, or set TOLLGATE_DATABASE",
            ));
        };
        // What is wrong with files is told before a database is made.
        let read = |what, path: Option<&PathBuf>| path.map(|path| file::secret(what, path));
        let audit_key = read("audit key file", settings.audit_key_file.as_ref()).transpose()?;
        let pepper = read("pepper file", settings.pepper_file.as_ref()).transpose()?;
        // A file that is of no use must not keep anybody from revoking a key.
        let given = settings.catalog.as_ref().map(|path| {
            let catalog = first.as_ref().map(|_| file::catalog(path)).transpose()?;
            Ok::<_, Failure>((path.clone(), catalog))
        });
        let given = given.transpose()?;
        let makes = first.is_some();
        if let (Some(first), Some((_, Some(catalog)))) = (first, &given) {
            rehearse(first, catalog).await?;
        }
        let keyed = audit_key.is_some();
        let audit_key = audit_key.map_or_else(AuditKey::default, |key| AuditKey::new(&key));
        let mut options = settings.options(database).audit_key(audit_key.clone());
        if !makes {
            options = options.existing();
        }
        let store = options.open().await.map_err(|error| {
            let remedy = if error.is_missing() {
                "; the app makes it at its first start, and so does `tollgate org create` with \
                 `--catalog FILE`"
            } else {
                ""
            };
            Failure::from(error).with(remedy)
        })?;
        Ok(Self {
            store: Arc::new(store),
            clock: Arc::default(),
            digester: pepper.map_or_else(Digester::sha256, |it| Digester::with_pepper(&it)),
            audit_key,
            keyed,
            given,
        })
    }

    pub(crate) fn store(&self) -> &AnyStore {
        &self.store
    }

    /// Imports keys, by the rules of a catalog.
    pub(crate) fn importer(&self, catalog: Catalog) -> KeyImporter {
        self.keyring_by(catalog)
            .importer(Arc::clone(&self.store) as _)
    }

    pub(crate) const fn audit_key(&self) -> &AuditKey {
        &self.audit_key
    }

    /// Whether the audit trail is read and written with a key of its own.
    pub(crate) const fn keyed(&self) -> bool {
        self.keyed
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// For how long something takes.
    pub(crate) fn steady(&self) -> Steady {
        self.clock.now().steady
    }

    /// Waits for a store, but not for ever.
    pub(crate) async fn ask<T: Send + 'static>(&self, reply: Reply<T>) -> Result<T, StoreError> {
        within(&*self.clock, DEADLINE, "the database", reply).await
    }

    /// Who makes a change, and why. Every change begins with this.
    ///
    /// A change that is sealed with another key than the app's would break the audit trail for
    /// ever, so that is found out first.
    pub(crate) async fn actor(&self, why: Why) -> Result<Actor, Failure> {
        seal::check(self).await?;
        let actor = actor::actor();
        Ok(match why.reason {
            Some(reason) => actor.because(reason),
            None => actor,
        })
    }

    /// A change that is made now.
    pub(crate) async fn change(&self, why: Why) -> Result<Change, Failure> {
        Ok(Change::by(&self.actor(why).await?, self.now()))
    }

    /// A keyring for what no catalog has a say in.
    pub(crate) fn keyring(&self) -> Result<Keyring, Failure> {
        Ok(self.keyring_by(Catalog::builder().build()?))
    }

    /// A keyring for what a catalog has a say in.
    pub(crate) fn keyring_by(&self, catalog: Catalog) -> Keyring {
        let store = Arc::clone(&self.store);
        let clock = Arc::clone(&self.clock);
        Keyring::new(store, catalog, self.digester.clone(), clock).with_deadline(DEADLINE)
    }

    /// The users of the app, and their sessions.
    pub(crate) fn accounts(&self) -> Accounts {
        let store = Arc::clone(&self.store);
        Accounts::new(store, Arc::clone(&self.clock) as _).with_deadline(DEADLINE)
    }

    /// The catalog that was given, or else the one that the app recorded.
    pub(crate) async fn catalog(&self) -> Result<Catalog, Failure> {
        self.find_catalog().await?.ok_or_else(|| {
            Failure::new(
                "no app has started on this database, so its catalog is not known; start the app \
                 once, or write `--catalog FILE`",
            )
        })
    }

    /// The catalog, if there is one.
    pub(crate) async fn find_catalog(&self) -> Result<Option<Catalog>, Failure> {
        let recorded = self.declaration().await?;
        let Some((path, given)) = &self.given else {
            let read = |it: Declaration| {
                Catalog::from_json(&it.catalog).map_err(|error| {
                    Failure::new(file::problems(&error))
                        .within("the catalog that the app recorded cannot be used")
                })
            };
            return recorded.map(read).transpose();
        };
        let given = match given {
            Some(given) => given.clone(),
            None => file::catalog(path)?,
        };
        let same = |it: &Declaration| Catalog::from_json(&it.catalog).is_ok_and(|it| it == given);
        if recorded.as_ref().is_some_and(|it| !same(it)) {
            let shown = path.display();
            note(format_args!(
                "`{shown}` is not the catalog that the app recorded; this command goes by the file"
            ));
        }
        Ok(Some(given))
    }

    /// What the app recorded at its last start.
    pub(crate) async fn declaration(&self) -> Result<Option<Declaration>, StoreError> {
        self.ask(self.store.declaration()).await
    }

    /// An organization, which has to exist.
    pub(crate) async fn organization(&self, id: &OrgId) -> Result<Organization, Failure> {
        Ok(self.keyring()?.organization(id).await?)
    }
}

/// Makes an organization in memory, so that one which is refused leaves no database behind.
async fn rehearse(first: NewOrganization, catalog: &Catalog) -> Result<(), Failure> {
    let (store, clock) = (MemoryStore::default(), SystemClock::default());
    let (store, digester) = (Arc::new(store), Digester::sha256());
    let keyring = Keyring::new(store, catalog.clone(), digester, Arc::new(clock));
    keyring.create_organization(first, &actor::actor()).await?;
    Ok(())
}
