//! "Requires Starter plan or above" belongs to the permission.

use tollgate::access::scope;
use tollgate_testkit::app::Consumed;

use crate::stores;

use super::{api, good, lab, routes};

const OF_STARTER: [(&str, &str); 3] = [
    ("phishing:ai", "/phishing/analyze/ai"),
    ("ai:chat", "/ai/chat"),
    ("ai:triage", "/ai/detect"),
];

#[tokio::test]
async fn the_plan_is_demanded_by_the_permission_wherever_it_is_required() {
    let kit = stores::kit(api::catalog().unwrap()).build().await;
    let mut routes = routes(kit.gate());
    for (name, _) in OF_STARTER {
        let path = format!("/new/{name}");
        routes = routes.get(&path, async || "new", scope(name));
    }
    let app = kit.app(routes.into_service().unwrap());
    for (plan, denied) in [("free", true), ("starter", false), ("pro", false)] {
        kit.organization(plan).plan(plan).credits(100).make().await;
        for (name, path) in OF_STARTER {
            let key = kit.key(plan).scopes([name]).make().await;
            let added = format!("/new/{name}");
            for call in [good(app.post(path), path), app.get(&added)] {
                let answer = call.key(&key).send().await;
                if denied {
                    answer.assert_status(403).assert_denied("plan_required");
                    answer.assert_consumed(Consumed::NOTHING);
                    let details = answer.json()["error"]["details"].clone();
                    assert_eq!(details["required"], "starter");
                    assert_eq!(details["current"], "free");
                } else {
                    answer.assert_success();
                }
            }
        }
    }
}

#[tokio::test]
async fn a_lacking_permission_is_told_before_the_plan() {
    let (kit, app) = lab().await;
    kit.organization("hobby")
        .plan("free")
        .credits(100)
        .make()
        .await;
    let without = kit.key("hobby").scopes(["phishing:read"]).make().await;
    let with = kit.key("hobby").preset("everything").make().await;
    for (_, path) in OF_STARTER {
        let call = || good(app.post(path), path);
        let answer = call().key(&without).send().await;
        answer.assert_denied("insufficient_permissions");
        call()
            .key(&with)
            .send()
            .await
            .assert_denied("plan_required");
    }
}

#[tokio::test]
async fn full_access_on_free_opens_all_that_free_does() {
    let (kit, app) = lab().await;
    kit.organization("hobby")
        .plan("free")
        .credits(1000)
        .make()
        .await;
    let key = kit.key("hobby").scopes(["api:full"]).make().await;
    for route in routes(kit.gate()).permissions().rows() {
        let call = app.request(route.method.parse().unwrap(), &route.path);
        let answer = good(call, &route.path).key(&key).send().await;
        match route.plan {
            Some(_) => answer.assert_denied("plan_required"),
            None => answer.assert_success(),
        };
    }
}

#[tokio::test]
async fn the_assistants_set_needs_starter_for_its_chat_alone() {
    let (kit, app) = lab().await;
    kit.organization("hobby")
        .plan("free")
        .credits(100)
        .make()
        .await;
    let key = kit.key("hobby").preset("assistant").make().await;
    let call = |path| good(app.post(path), path).key(&key).send();
    call("/phishing/enrich").await.assert_success();
    call("/ai/chat").await.assert_denied("plan_required");
}
