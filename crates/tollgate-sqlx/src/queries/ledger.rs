//! Wallets, holds, entries and repeats. Many rows come as one JSON array.

pub(crate) mod wallets {
    use crate::session::Sql;

    macro_rules! columns {
        () => {
            "organization, granted, withdrawn, settled, held, allowance_month, \
             allowance_credits, pools"
        };
    }
    macro_rules! on_sqlite {
        () => {
            concat!(
                "SELECT ",
                columns!(),
                " FROM tollgate_wallets WHERE organization IN (\
                 SELECT value FROM json_each($1) UNION SELECT organization FROM tollgate_holds \
                 WHERE id IN (SELECT unhex(value) FROM json_each($2)))"
            )
        };
    }
    macro_rules! on_postgres {
        () => {
            concat!(
                "SELECT ",
                columns!(),
                " FROM tollgate_wallets WHERE organization IN (\
                 SELECT jsonb_array_elements_text($1::jsonb) \
                 UNION SELECT organization FROM tollgate_holds WHERE id IN (\
                 SELECT decode(jsonb_array_elements_text($2::jsonb), 'hex'))) \
                 ORDER BY organization"
            )
        };
    }

    /// The wallets of a JSON array of organizations, and of those of a JSON array of holds.
    pub(crate) const READ: Sql = Sql::each(on_sqlite!(), on_postgres!());
    /// The same, locked in the order of their names, so that two who want several both get them.
    /// Whatever is read of a wallet's holds is read after.
    pub(crate) const LOCK: Sql = Sql::each(on_sqlite!(), concat!(on_postgres!(), " FOR UPDATE"));
    /// An empty wallet for each of a JSON array of organizations, to be locked.
    pub(crate) const MAKE: Sql = Sql::each(
        "INSERT OR IGNORE INTO tollgate_wallets (organization, granted, withdrawn, settled, held, \
         pools) SELECT value, 0, 0, 0, 0, '[]' FROM json_each($1)",
        "INSERT INTO tollgate_wallets (organization, granted, withdrawn, settled, held, pools) \
         SELECT value, 0, 0, 0, 0, '[]' FROM jsonb_array_elements_text($1::jsonb) \
         ORDER BY value ON CONFLICT DO NOTHING",
    );
    /// Ends a transaction of PostgreSQL, so that nothing is locked any more, and begins another.
    pub(crate) const LET_GO: &str = "ROLLBACK AND CHAIN";
    /// The same for what was written, so that all see it.
    pub(crate) const SHOW: &str = "COMMIT AND CHAIN";
    macro_rules! over {
        () => {
            " ON CONFLICT (organization) DO UPDATE SET granted = excluded.granted, \
             withdrawn = excluded.withdrawn, settled = excluded.settled, held = excluded.held, \
             allowance_month = excluded.allowance_month, \
             allowance_credits = excluded.allowance_credits, pools = excluded.pools"
        };
    }
    pub(crate) const WRITE: Sql = Sql::each(
        concat!(
            "INSERT INTO tollgate_wallets (",
            columns!(),
            ") SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, \
             value->>6, value->>7 FROM jsonb_each($1) WHERE true",
            over!()
        ),
        concat!(
            "INSERT INTO tollgate_wallets (",
            columns!(),
            ") SELECT value->>0, (value->>1)::bigint, (value->>2)::bigint, (value->>3)::bigint, \
             (value->>4)::bigint, (value->>5)::bigint, (value->>6)::bigint, value->>7 \
             FROM jsonb_array_elements($1::jsonb)",
            over!()
        ),
    );
}

pub(crate) mod holds {
    use crate::session::Sql;

    macro_rules! now {
        () => {
            "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
        };
    }
    /// What time it is for all who share the database, also late in a transaction.
    pub(crate) const NOW: &str = concat!("SELECT ", now!());

    /// The order in which `ledger::rows::read_hold` reads.
    macro_rules! columns {
        () => {
            "id, organization, credits, owed, state, charged, refunded, paid_priority, \
             paid_expires_at, deadline, ended_at, idempotent"
        };
    }

    macro_rules! on_sqlite {
        () => {
            concat!(
                "SELECT ",
                columns!(),
                " FROM tollgate_holds WHERE id IN (SELECT unhex(value) FROM json_each($1))"
            )
        };
    }
    macro_rules! on_postgres {
        () => {
            concat!(
                "SELECT ",
                columns!(),
                " FROM tollgate_holds WHERE id IN (\
                 SELECT decode(jsonb_array_elements_text($1::jsonb), 'hex'))"
            )
        };
    }

    /// The holds of a JSON array of ids.
    pub(crate) const READ: Sql = Sql::each(on_sqlite!(), on_postgres!());
    /// The same where they may have ended: one that is being forgotten is waited for.
    pub(crate) const LOCK: Sql = Sql::each(on_sqlite!(), concat!(on_postgres!(), " FOR UPDATE"));
    macro_rules! inserted {
        () => {
            "INSERT INTO tollgate_holds (id, organization, key_id, route, request_id, price, \
             credits, state, created_at, deadline, ended_at, idempotent) SELECT "
        };
    }
    pub(crate) const INSERT: Sql = Sql::each(
        concat!(
            inserted!(),
            "unhex(value->>0), value->>1, unhex(value->>2), value->>3, value->>4, value->>5, \
             value->>6, value->>7, value->>8, value->>9, value->>10, value->>11 \
             FROM jsonb_each($1)"
        ),
        concat!(
            inserted!(),
            "decode(value->>0, 'hex'), value->>1, decode(value->>2, 'hex'), value->>3, \
             value->>4, value->>5, (value->>6)::bigint, value->>7, (value->>8)::bigint, \
             coalesce((value->>9)::bigint, ",
            now!(),
            " + (value->>12)::bigint), (value->>10)::bigint, (value->>11)::bigint \
             FROM jsonb_array_elements($1::jsonb)"
        ),
    );
    pub(crate) const UPDATE: Sql = Sql::each(
        "UPDATE tollgate_holds SET credits = j.value->>1, owed = j.value->>2, \
         state = j.value->>3, charged = j.value->>4, refunded = j.value->>5, \
         paid_priority = j.value->>6, paid_expires_at = j.value->>7, deadline = j.value->>8, \
         ended_at = j.value->>9 \
         FROM jsonb_each($1) AS j WHERE tollgate_holds.id = unhex(j.value->>0)",
        "UPDATE tollgate_holds SET credits = (j.value->>1)::bigint, owed = (j.value->>2)::bigint, \
         state = j.value->>3, charged = (j.value->>4)::bigint, refunded = (j.value->>5)::bigint, \
         paid_priority = (j.value->>6)::bigint, paid_expires_at = (j.value->>7)::bigint, \
         deadline = (j.value->>8)::bigint, ended_at = (j.value->>9)::bigint \
         FROM jsonb_array_elements($1::jsonb) AS j (value) \
         WHERE tollgate_holds.id = decode(j.value->>0, 'hex')",
    );
    macro_rules! due {
        ($names:literal) => {
            concat!(
                "SELECT deadline, id FROM tollgate_holds WHERE state = 'open' AND deadline <= $1 \
                 AND (deadline, id) > ($3, $4) AND organization NOT IN (",
                $names,
                ") ORDER BY deadline, id LIMIT $2"
            )
        };
    }
    /// Those after one of them, but not those of a JSON array of organizations.
    pub(crate) const DUE: Sql = Sql::each(
        due!("SELECT value FROM json_each($5)"),
        due!("SELECT jsonb_array_elements_text($5::jsonb)"),
    );
    macro_rules! forgotten {
        () => {
            "DELETE FROM tollgate_holds WHERE id IN (\
             SELECT id FROM tollgate_holds WHERE id < $1 AND state <> 'open' AND ended_at < $2 \
             ORDER BY id LIMIT $3"
        };
    }
    /// Ids begin with their time, so the oldest rows come first.
    pub(crate) const FORGET: Sql = Sql::each(
        concat!(forgotten!(), ")"),
        // One that is being refunded is waited for.
        concat!(forgotten!(), " FOR UPDATE)"),
    );
}

pub(crate) mod entries {
    use crate::session::Sql;

    macro_rules! inserted {
        () => {
            "INSERT INTO tollgate_entries (hold_id, at, kind, credits, balance, organization, \
             actor, reason, reference, key_id, route, request_id, price) SELECT "
        };
    }
    /// A charge that names no organization, and a refund, have the names of their hold.
    pub(crate) const INSERT: Sql = Sql::each(
        concat!(
            inserted!(),
            "unhex(j.value->>0), j.value->>1, j.value->>2, j.value->>3, j.value->>4, \
             coalesce(j.value->>5, h.organization), j.value->>6, j.value->>7, j.value->>8, \
             coalesce(unhex(j.value->>9), h.key_id), coalesce(j.value->>10, h.route), \
             coalesce(j.value->>11, h.request_id), coalesce(j.value->>12, h.price) \
             FROM jsonb_each($1) AS j LEFT JOIN tollgate_holds AS h \
             ON h.id = unhex(j.value->>0) AND (j.value->>5 IS NULL OR j.value->>2 = 'refund') \
             ORDER BY j.key"
        ),
        concat!(
            inserted!(),
            "decode(j.value->>0, 'hex'), (j.value->>1)::bigint, j.value->>2, \
             (j.value->>3)::bigint, (j.value->>4)::bigint, \
             coalesce(j.value->>5, h.organization), j.value->>6, j.value->>7, j.value->>8, \
             coalesce(decode(j.value->>9, 'hex'), h.key_id), coalesce(j.value->>10, h.route), \
             coalesce(j.value->>11, h.request_id), coalesce(j.value->>12, h.price) \
             FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS j (value, key) \
             LEFT JOIN tollgate_holds AS h ON h.id = decode(j.value->>0, 'hex') \
             AND (j.value->>5 IS NULL OR j.value->>2 = 'refund') ORDER BY j.key"
        ),
    );
    pub(crate) const LIST: &str = "SELECT seq, organization, at, kind, credits, balance, hold_id, \
         key_id, route, request_id, price, actor, reason, reference FROM tollgate_entries \
         WHERE organization = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3";
    pub(crate) const OF_REFERENCE: &str =
        "SELECT hold_id FROM tollgate_entries WHERE organization = $1 AND reference = $2";
}

pub(crate) mod repeats {
    use crate::session::Sql;

    /// The records of a JSON array of `[organization, route, key]`, with the place of each.
    pub(crate) const READ: Sql = Sql::each(
        "SELECT j.key, r.fingerprint, r.running, r.outcome, r.expires_at \
         FROM jsonb_each($1) AS j CROSS JOIN tollgate_repeats AS r \
         ON r.organization = j.value->>0 AND r.route = j.value->>1 \
         AND r.idempotency_key = j.value->>2",
        "SELECT j.key - 1, r.fingerprint, r.running, r.outcome, r.expires_at \
         FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS j (value, key) \
         JOIN tollgate_repeats AS r ON r.organization = j.value->>0 AND r.route = j.value->>1 \
         AND r.idempotency_key = j.value->>2",
    );
    macro_rules! begun {
        () => {
            "INSERT INTO tollgate_repeats (organization, route, idempotency_key, fingerprint, \
             hold_id, running, expires_at) SELECT value->>0, value->>1, value->>2, "
        };
    }
    macro_rules! over {
        () => {
            " ON CONFLICT (organization, route, idempotency_key) DO UPDATE SET \
             fingerprint = excluded.fingerprint, hold_id = excluded.hold_id, running = 1, \
             outcome = NULL, expires_at = excluded.expires_at"
        };
    }
    pub(crate) const BEGIN: Sql = Sql::each(
        concat!(
            begun!(),
            "unhex(value->>3), unhex(value->>4), 1, value->>5 FROM jsonb_each($1) WHERE true",
            over!()
        ),
        concat!(
            begun!(),
            "decode(value->>3, 'hex'), decode(value->>4, 'hex'), 1, (value->>5)::bigint \
             FROM jsonb_array_elements($1::jsonb)",
            over!()
        ),
    );
    pub(crate) const DONE: Sql = Sql::each(
        "UPDATE tollgate_repeats SET running = 0, outcome = unhex(j.value->>1) \
         FROM jsonb_each($1) AS j WHERE tollgate_repeats.hold_id = unhex(j.value->>0)",
        "UPDATE tollgate_repeats SET running = 0, outcome = decode(j.value->>1, 'hex') \
         FROM jsonb_array_elements($1::jsonb) AS j (value) \
         WHERE tollgate_repeats.hold_id = decode(j.value->>0, 'hex')",
    );
    pub(crate) const FREE: Sql = Sql::each(
        "DELETE FROM tollgate_repeats WHERE running = 1 AND hold_id IN \
         (SELECT unhex(value) FROM json_each($1))",
        "DELETE FROM tollgate_repeats WHERE running = 1 AND hold_id IN \
         (SELECT decode(jsonb_array_elements_text($1::jsonb), 'hex'))",
    );
    macro_rules! forgotten {
        () => {
            "DELETE FROM tollgate_repeats WHERE hold_id IN (\
             SELECT hold_id FROM tollgate_repeats WHERE running = 0 AND expires_at <= $1 LIMIT $2"
        };
    }
    pub(crate) const FORGET: Sql = Sql::each(
        concat!(forgotten!(), ")"),
        // One that is locked is being begun anew.
        concat!(forgotten!(), " FOR UPDATE SKIP LOCKED)"),
    );
}
