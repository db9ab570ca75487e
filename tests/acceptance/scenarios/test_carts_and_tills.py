"""What is planned online ends at the till; one person on every channel."""

from datetime import timedelta

from tests.acceptance.scenarios.company import Company, message, task

HOUR = timedelta(hours=1)


async def test_1_a_cart_left_for_an_hour_brings_one_push(company: Company) -> None:
    ada = await company.person("ada1")
    await company.rule(
        "cart-1",
        "Cart 1",
        message("push", delay="PT1H"),
        exit_criteria=[{"event": "Order 1"}],
    )
    cart = await company.did(ada, "Cart 1", properties={"cart_id": "c1"})
    await company.say(cart, "web")
    await company.say(cart, "app")
    assert await company.messages(ada, "push") == []
    await company.advance(HOUR)
    await company.until_action(ada, status="published")
    await company.say(cart, "web")
    await company.advance(HOUR)
    await company.settled()
    assert len(await company.actions(ada)) == 1
    assert [one["kind"] for one in await company.messages(ada, "push")] == ["send"]


async def test_2_bought_at_the_till_is_not_reminded(company: Company) -> None:
    ada = await company.person("ada2")
    await company.rule(
        "cart-2",
        "Cart 2",
        message("push", delay="PT1H"),
        exit_criteria=[{"event": "Order 2"}],
    )
    await company.did(ada, "Cart 2")
    await company.advance(timedelta(minutes=40))
    await company.did(ada, "Order 2", "pos", by=["loyalty_id"])
    await company.advance(HOUR)
    (action,) = await company.actions(ada)
    assert action["status"] == "retracted"
    assert action["reason"] == "exit: Order 2 on pos"
    assert (await company.taken_back(ada))[action["action_id"]] == "exit: Order 2 on pos"
    assert await company.messages(ada, "push") == []


async def test_3_the_till_knows_what_was_browsed_before_the_login(company: Company) -> None:
    trait = {
        "name": "last_category",
        "computed": {"event": "Viewed 3", "aggregate": "last", "of": "event.category"},
    }
    for method, path, body in (
        ("PUT", "/v1/traits/last-category", trait),
        ("POST", "/v1/traits/last-category:publish", {}),
    ):
        answer = await company.call(method, path, body, "profile-api")
        assert not answer.is_error, answer.text
    ada = await company.person("ada3", without=["loyalty_id"])
    await company.rule(
        "till-3",
        "Card Scanned 3",
        {
            "type": "prompt",
            "channel": "pos",
            "content": {"text": "Ask about {{ profile.computed.last_category }}"},
        },
        category="service",
    )
    await company.did(ada, "Viewed 3", by=["anonymous_id"], properties={"category": "lamps"})
    await company.did(ada, "Logged In 3", by=["anonymous_id", "user_id"])
    await company.did(ada, "Joined 3", "app", by=["user_id", "loyalty_id"])
    await company.did(ada, "Card Scanned 3", "pos", by=["loyalty_id"])
    profile = await company.concert.profile("loyalty_id", ada.identifiers["loyalty_id"])
    assert {"anonymous_id", "user_id", "loyalty_id"} <= {
        one["type"] for one in profile["identifiers"]
    }
    ada.profile_id = profile["id"]
    (prompt,) = await company.until_told(ada, "pos", "prompt")
    assert prompt["content"] == {"text": "Ask about lamps"}


async def test_20_returned_in_the_store_is_not_asked_how_it_was(company: Company) -> None:
    ada = await company.person("ada20")
    await company.rule(
        "survey-20",
        "Order 20",
        message("email", delay="P3D"),
        category="service",
        re_entry={"mode": "always", "key": "event.order_id"},
        exit_criteria=[{"event": "Returned 20"}],
    )
    await company.rule("refund-20", "Returned 20", message("email"), category="transactional")
    await company.did(ada, "Order 20", properties={"order_id": "o20"})
    await company.did(ada, "Returned 20", "pos", by=["loyalty_id"], properties={"order_id": "o20"})
    survey, refund = await company.actions(ada)
    assert (survey["rule"], survey["status"]) == ("survey-20", "retracted")
    assert survey["reason"] == "exit: Returned 20 on pos"
    assert (refund["rule"], refund["status"]) == ("refund-20", "published")


async def test_14_whoever_walks_in_is_served_by_one_associate(company: Company) -> None:
    ada = await company.person("ada14", traits={"tier": "gold"})
    bo = await company.person("bo14")
    await company.rule(
        "walk-in-14",
        "Store Entered 14",
        task("clienteling", queue="store:{{ event.store }}", expires_in="PT2H"),
        engagement_policy={"eligibility": {"attr": "profile.tier", "op": "eq", "value": "gold"}},
        exit_criteria=[{"event": "Store Left 14"}],
    )
    for who in (ada, bo):
        await company.did(who, "Store Entered 14", "app", properties={"store": "lyon"})
    assert await company.tasks(bo) == []
    (waiting,) = await company.tasks(ada)
    assert (waiting["queue"], waiting["status"]) == ("store:lyon", "open")
    claims = [await company.call("POST", f"/v1/tasks/{waiting['id']}:claim", {}) for _ in range(1)]
    assert claims[0].status_code == 200, claims[0].text
    await company.did(ada, "Store Left 14", "app")
    (gone,) = await company.tasks(ada)
    assert gone["status"] == "withdrawn"
    late = await company.call(
        "POST", f"/v1/tasks/{waiting['id']}:complete", {"outcome": "accepted"}
    )
    assert late.status_code == 409, late.text
