//! Every port, each call of it with its fault.

use tollgate_core::audit::{AuditHead, AuditRecord, AuditStore};
use tollgate_core::change::{Change, ChangeFeed, Changed, Told};
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{
    Allowance, Balance, Entry, Extension, Grant, HoldAnswer, HoldRequest, Ledger, Refund, Settle,
    Settlement,
};
use tollgate_core::id::{HoldId, KeyId, OrgId};
use tollgate_core::quota::{DebitRequest, Debited, QuotaPeriod, QuotaStore};
use tollgate_core::rate::Subject;
use tollgate_core::record::{ApiKey, KeyRecord, Organization};
use tollgate_core::reply::Reply;
use tollgate_core::secret::KeyDigest;
use tollgate_core::store::{
    Activation, CatalogStore, Declaration, ImportId, KeyImport, KeyInserted, KeyPage, KeyQuery,
    KeyRequest, KeyStore, PendingImport, Rotation,
};
use tollgate_core::usage::{KeyUsage, UsageQuery, UsageRow, UsageStore, UsageTotals};

use super::{FaultyStore, Operation};

impl<S: KeyStore + ?Sized> KeyStore for FaultyStore<S> {
    fn find(&self, digest: &KeyDigest) -> Reply<Option<KeyRecord>> {
        let digest = *digest;
        self.run(Operation::Find, move |store| store.find(&digest))
    }

    fn key(&self, id: &KeyId) -> Reply<Option<ApiKey>> {
        let id = *id;
        self.run(Operation::Keys, move |store| store.key(&id))
    }

    fn list_keys(&self, query: KeyQuery) -> Reply<KeyPage> {
        self.run(Operation::Keys, move |store| store.list_keys(query))
    }

    fn insert_key(&self, key: ApiKey, digest: KeyDigest, change: Change) -> Reply<()> {
        self.run(Operation::Keys, move |store| {
            store.insert_key(key, digest, change)
        })
    }

    fn insert_key_once(
        &self,
        key: ApiKey,
        digest: KeyDigest,
        request: KeyRequest,
        change: Change,
    ) -> Reply<KeyInserted> {
        self.run(Operation::Keys, move |store| {
            store.insert_key_once(key, digest, request, change)
        })
    }

    fn update_key(&self, key: ApiKey, rotation: Option<Rotation>, change: Change) -> Reply<ApiKey> {
        self.run(Operation::Keys, move |store| {
            store.update_key(key, rotation, change)
        })
    }

    fn delete_key(&self, id: &KeyId, change: Change) -> Reply<()> {
        let id = *id;
        self.run(Operation::Keys, move |store| store.delete_key(&id, change))
    }

    fn organization(&self, id: &OrgId) -> Reply<Option<Organization>> {
        let id = id.clone();
        self.run(Operation::Keys, move |store| store.organization(&id))
    }

    fn organizations(&self, after: Option<OrgId>, limit: u32) -> Reply<Vec<Organization>> {
        self.run(Operation::Keys, move |store| {
            store.organizations(after, limit)
        })
    }

    fn insert_organization(&self, organization: Organization, change: Change) -> Reply<()> {
        self.run(Operation::Keys, move |store| {
            store.insert_organization(organization, change)
        })
    }

    fn update_organization(
        &self,
        organization: Organization,
        change: Change,
    ) -> Reply<Organization> {
        self.run(Operation::Keys, move |store| {
            store.update_organization(organization, change)
        })
    }
}

impl<S: KeyImport + ?Sized> KeyImport for FaultyStore<S> {
    fn begin_import(&self, now: Timestamp) -> Reply<ImportId> {
        self.run(Operation::Keys, move |store| store.begin_import(now))
    }

    fn pending_imports(&self) -> Reply<Vec<PendingImport>> {
        self.run(Operation::Keys, S::pending_imports)
    }

    fn stage_keys(
        &self,
        import: ImportId,
        keys: Vec<(ApiKey, KeyDigest)>,
        now: Timestamp,
    ) -> Reply<Vec<KeyDigest>> {
        self.run(Operation::Keys, move |store| {
            store.stage_keys(import, keys, now)
        })
    }

    fn known_digests(&self, digests: Vec<KeyDigest>) -> Reply<Vec<KeyDigest>> {
        self.run(Operation::Keys, move |store| store.known_digests(digests))
    }

    fn activate_import(
        &self,
        import: ImportId,
        organizations: u32,
        change: Change,
    ) -> Reply<Activation> {
        self.run(Operation::Keys, move |store| {
            store.activate_import(import, organizations, change)
        })
    }

    fn remove_import(&self, import: ImportId, keys: u32, change: Change) -> Reply<u64> {
        self.run(Operation::Keys, move |store| {
            store.remove_import(import, keys, change)
        })
    }
}

impl<S: Ledger + ?Sized> Ledger for FaultyStore<S> {
    fn hold(&self, request: &HoldRequest) -> Reply<HoldAnswer> {
        let request = request.clone();
        self.run(Operation::Hold, move |store| store.hold(&request))
    }

    fn extend(&self, extension: Extension) -> Reply<HoldAnswer> {
        self.run(Operation::Hold, move |store| store.extend(extension))
    }

    fn settle(&self, settle: Settle) -> Reply<Settlement> {
        self.run(Operation::Settle, move |store| store.settle(settle))
    }

    fn void(&self, id: HoldId, organization: &OrgId, at: Timestamp) -> Reply<()> {
        let organization = organization.clone();
        self.run(Operation::Settle, move |store| {
            store.void(id, &organization, at)
        })
    }

    fn expire(&self, now: Timestamp, limit: u32) -> Reply<u64> {
        self.run(Operation::Settle, move |store| store.expire(now, limit))
    }

    fn forget(&self, ended_before: Timestamp, now: Timestamp, limit: u32) -> Reply<u64> {
        self.run(Operation::Wallet, move |store| {
            store.forget(ended_before, now, limit)
        })
    }

    fn grant(&self, grant: Grant, change: Change) -> Reply<Balance> {
        self.run(Operation::Wallet, move |store| store.grant(grant, change))
    }

    fn withdraw(&self, organization: &OrgId, credits: u64, change: Change) -> Reply<Balance> {
        let organization = organization.clone();
        self.run(Operation::Wallet, move |store| {
            store.withdraw(&organization, credits, change)
        })
    }

    fn refund(&self, refund: Refund, change: Change) -> Reply<Balance> {
        self.run(Operation::Wallet, move |store| store.refund(refund, change))
    }

    fn balance(
        &self,
        organization: &OrgId,
        now: Timestamp,
        allowance: Option<Allowance>,
    ) -> Reply<Balance> {
        let organization = organization.clone();
        self.run(Operation::Wallet, move |store| {
            store.balance(&organization, now, allowance)
        })
    }

    fn entries(&self, organization: &OrgId, before: Option<u64>, limit: u32) -> Reply<Vec<Entry>> {
        let organization = organization.clone();
        self.run(Operation::Wallet, move |store| {
            store.entries(&organization, before, limit)
        })
    }
}

impl<S: QuotaStore + ?Sized> QuotaStore for FaultyStore<S> {
    fn debit(&self, request: DebitRequest) -> Reply<Debited> {
        self.run(Operation::Quota, move |store| store.debit(request))
    }

    fn give_back(
        &self,
        subject: Subject,
        period: QuotaPeriod,
        start: Timestamp,
        units: u64,
    ) -> Reply<()> {
        self.run(Operation::Quota, move |store| {
            store.give_back(subject, period, start, units)
        })
    }
}

impl<S: UsageStore + ?Sized> UsageStore for FaultyStore<S> {
    fn record_usage(&self, batch: Vec<KeyUsage>) -> Reply<()> {
        self.run(Operation::Usage, move |store| store.record_usage(batch))
    }

    fn usage(&self, key: &KeyId) -> Reply<UsageTotals> {
        let key = *key;
        self.run(Operation::Usage, move |store| store.usage(&key))
    }

    fn usage_counts(&self, query: UsageQuery) -> Reply<Vec<UsageRow>> {
        self.run(Operation::Usage, move |store| store.usage_counts(query))
    }
}

impl<S: ChangeFeed + ?Sized> ChangeFeed for FaultyStore<S> {
    fn newest(&self) -> Reply<u64> {
        self.run(Operation::Feed, S::newest)
    }

    fn since(&self, after: u64, limit: u32) -> Reply<Vec<Changed>> {
        self.run(Operation::Feed, move |store| store.since(after, limit))
    }

    fn told(&self) -> Reply<Told> {
        self.told_or_news()
    }
}

impl<S: CatalogStore + ?Sized> CatalogStore for FaultyStore<S> {
    fn record_declaration(&self, declaration: Declaration) -> Reply<()> {
        self.run(Operation::Catalog, move |store| {
            store.record_declaration(declaration)
        })
    }

    fn declaration(&self) -> Reply<Option<Declaration>> {
        self.run(Operation::Catalog, S::declaration)
    }
}

impl<S: AuditStore + ?Sized> AuditStore for FaultyStore<S> {
    fn audit_after(
        &self,
        organization: Option<&OrgId>,
        after: u64,
        limit: u32,
    ) -> Reply<Vec<AuditRecord>> {
        let organization = organization.cloned();
        self.run(Operation::Keys, move |store| {
            store.audit_after(organization.as_ref(), after, limit)
        })
    }

    fn audit_before(
        &self,
        organization: Option<&OrgId>,
        before: Option<u64>,
        limit: u32,
    ) -> Reply<Vec<AuditRecord>> {
        let organization = organization.cloned();
        self.run(Operation::Keys, move |store| {
            store.audit_before(organization.as_ref(), before, limit)
        })
    }

    fn audit_heads(&self, after: Option<AuditHead>, limit: u32) -> Reply<Vec<AuditHead>> {
        self.run(Operation::Keys, move |store| {
            store.audit_heads(after, limit)
        })
    }
}
