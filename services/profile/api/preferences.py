"""Links to preferences and confirmations, and the pages that they open without a login.

The link is the authority: whoever has it is the customer. So the pages take no cookie and no token,
and a foreign page can send nothing that it does not have.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qs
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from services.profile.api import preference_page as pages
from services.profile.api.consent_schemas import Name
from services.profile.api.throttle import Throttle
from services.profile.domain.consent_links import (
    MAX_TOKEN,
    BrokenLinkError,
    ExpiredLinkError,
    Kind,
)
from services.profile.domain.period import parse_period
from services.profile.domain.preferences import Pair
from services.profile.storage.consent_history import Proof
from services.profile.use_cases.consent_links import ConsentLinks, Opened
from shared.access import Permission
from shared.contracts.consents import EVERY
from shared.errors import Conflict, Gone, NotFound, Problem, TooMany, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.masking import mask_text
from shared.http.problem import DOCUMENTED
from shared.http.strict_json import api_router, stated_type_of

PREFERENCES = "/preferences/{token}"
CONFIRMATION = "/consent-confirmations/{token}"
OPEN_PATHS = frozenset({PREFERENCES, CONFIRMATION})
PAGE, CONFIRMING = "preference_page", "confirmation_page"
ONE_CLICK = "one_click"

PAGES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A page that says what is wrong; a problem for what is no link at all.",
        "content": {
            "text/html": {"schema": {"type": "string"}},
            **DOCUMENTED["default"]["content"],
        },
    }
}
MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 2000
MAX_AGENT = 500
MAX_DAYS = 366 * 2

LinkMaker = Annotated[Principal, requires(Permission.MAKE_LINKS)]
Token = Annotated[str, Path(max_length=MAX_TOKEN * 2)]
_MULTIPART = re.compile(
    rb'name="?List-Unsubscribe"?[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n\s*One-Click\s*\r?\n', re.I
)


class PreferenceLinkBody(BaseModel):
    """What a link to the preferences is for. One click on it (RFC 8058) refuses `purpose` on
    `channel`: by default everything everywhere."""

    model_config = ConfigDict(extra="forbid")

    expires_in: str = Field("P90D", max_length=20)
    purpose: Name = EVERY
    channel: Name = EVERY


class ConfirmationLinkBody(BaseModel):
    """The pending grant that a link confirms."""

    model_config = ConfigDict(extra="forbid")

    purpose: Name
    channel: Name
    expires_in: str = Field("P7D", max_length=20)


class LinkView(BaseModel):
    """A link. Whoever has it can use it: send it to the customer, and do not log it."""

    url: str
    expires_at: datetime


class _Form(NamedTuple):
    """The fields of a form; `one_click`: a mail program unsubscribes its owner."""

    fields: dict[str, list[str]]
    one_click: bool

    def pairs(self, name: str) -> list[Pair]:
        """The purposes and channels of a field. Raises ValueError."""
        found = []
        for value in self.fields.get(name, []):
            purpose, channel = value.split(pages.PAIR)
            found.append((purpose, channel))
        return found


def preferences_router(links: ConsentLinks | None) -> APIRouter:
    """The routes. Without keys there are no links, and 409 says how to get them."""
    router = api_router(tags=["consents"])
    _add_links(router, links)
    _add_preferences(router, links, Throttle())
    _add_confirmation(router, links, Throttle())
    return router


def _add_links(router: APIRouter, links: ConsentLinks | None) -> None:
    @router.post("/v1/profiles/{profile_id}/preference-link")
    async def make_preference_link(
        profile_id: UUID, _: LinkMaker, body: PreferenceLinkBody | None = None
    ) -> LinkView:
        """A signed link to the customer's page of preferences, for mails and `List-Unsubscribe`."""
        wanted = body or PreferenceLinkBody()
        made = await _there(links).to_preferences(
            profile_id,
            seconds=_seconds(wanted.expires_in),
            purpose=wanted.purpose,
            channel=wanted.channel,
        )
        return LinkView(url=_url(links, PREFERENCES, made.token), expires_at=made.expires_at)

    @router.post("/v1/profiles/{profile_id}/consents:confirmation-link")
    async def make_confirmation_link(
        profile_id: UUID, body: ConfirmationLinkBody, _: LinkMaker
    ) -> LinkView:
        """A signed link that confirms what is pending, once; 409 when nothing is."""
        made = await _there(links).to_confirmation(
            profile_id,
            seconds=_seconds(body.expires_in),
            purpose=body.purpose,
            channel=body.channel,
        )
        return LinkView(url=_url(links, CONFIRMATION, made.token), expires_at=made.expires_at)


def _add_preferences(router: APIRouter, links: ConsentLinks | None, throttle: Throttle) -> None:
    @router.get(PREFERENCES, response_class=HTMLResponse, responses=PAGES)
    async def show_preferences(token: Token) -> Response:
        """The page with the customer's preferences."""

        async def show() -> Response:
            there = _admitted(links, token, "preferences", throttle)
            return _html(_preferences(await there.open(token)))

        return await _answered(show)

    @router.post(PREFERENCES, response_class=HTMLResponse, responses=PAGES)
    async def change_preferences(token: Token, request: Request) -> Response:
        """What the customer chose on the page; or one click of a mail program (RFC 8058)."""

        async def change() -> Response:
            there = _admitted(links, token, "preferences", throttle)
            form, proof = await _form(request), _proof(request, PAGE)
            if form.one_click:
                await there.refuse(token, _proof(request, ONE_CLICK), everything=False)
                return Response("Unsubscribed.\n", media_type="text/plain", headers=pages.HEADERS)
            notice = pages.SAVED
            if form.fields.get("action") == ["leave"]:
                await there.refuse(token, proof, everything=True)
                notice = pages.LEFT
            else:
                await there.choose(
                    token,
                    shown=form.pairs("shown"),
                    was=form.pairs("was"),
                    on=form.pairs("on"),
                    proof=proof,
                )
            return _html(_preferences(await there.open(token), notice))

        return await _answered(change)


def _add_confirmation(router: APIRouter, links: ConsentLinks | None, throttle: Throttle) -> None:
    @router.get(CONFIRMATION, response_class=HTMLResponse, responses=PAGES)
    async def show_confirmation(token: Token) -> Response:
        """Asks whether the customer means it; opening the link confirms nothing."""

        async def show() -> Response:
            asked = await _admitted(links, token, "confirmation", throttle).ask(token)
            name = asked.link.purpose if asked.purpose is None else asked.purpose.name
            if asked.state == "pending":
                return _html(pages.confirmation_page(name, asked.link.channel))
            done = asked.state == "confirmed"
            text = f"You have confirmed {name}." if done else "There is nothing to confirm."
            return _html(pages.message_page("Confirmed" if done else "Nothing to confirm", text))

        return await _answered(show)

    @router.post(CONFIRMATION, response_class=HTMLResponse, responses=PAGES)
    async def confirm(token: Token, request: Request) -> Response:
        """The second yes of a double opt-in."""

        async def confirmed() -> Response:
            there = _admitted(links, token, "confirmation", throttle)
            await _form(request)
            asked = await there.confirm(token, _proof(request, CONFIRMING))
            name = asked.link.purpose if asked.purpose is None else asked.purpose.name
            return _html(pages.message_page("Thank you", f"You have confirmed {name}."))

        return await _answered(confirmed)


def _admitted(
    links: ConsentLinks | None, token: str, kind: Kind, throttle: Throttle
) -> ConsentLinks:
    """For a link that we signed, and that is not used too often."""
    there = _there(links)
    throttle.use(there.signed(token, kind).profile_id)
    return there


async def _answered(work: Callable[[], Awaitable[Response]]) -> Response:
    """The answer, or a page that says what is wrong: these are people, with browsers."""
    try:
        return await work()
    except (BrokenLinkError, Gone, NotFound):
        return _html(pages.message_page("Link not found", "This link is not valid."), 404)
    except ExpiredLinkError:
        return _html(pages.message_page("Link too old", "This link is no longer valid."), 410)
    except TooMany as error:
        page = _html(pages.message_page("Too many requests", str(error)), 429)
        page.headers["Retry-After"] = str(error.retry_after)
        return page
    except Conflict as error:
        return _html(pages.message_page("That did not work", error.detail), 409)
    except Unprocessable as error:
        return _html(pages.message_page("That did not work", error.detail), 422)
    except ValueError:
        text = "This form is not the one of the page. Open the link again."
        return _html(pages.message_page("That did not work", text), 422)


def _preferences(opened: Opened, notice: str | None = None) -> str:
    return pages.preferences_page(
        opened.lines,
        identifier=None if opened.identifier is None else mask_text(opened.identifier[1]),
        refuses_everything=opened.refuses_everything,
        notice=notice,
    )


def _html(page: str, status: int = 200) -> Response:
    return Response(page, status, media_type="text/html; charset=utf-8", headers=pages.HEADERS)


async def _form(request: Request) -> _Form:
    """The fields of a form. Raises ValueError for what is none of ours."""
    body = await request.body()
    if len(body) > MAX_FORM_BYTES:
        raise ValueError("too large")
    if stated_type_of(request).startswith("multipart/form-data"):
        if _MULTIPART.search(body) is None:
            raise ValueError("no form of ours")
        return _Form({}, one_click=True)
    fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    return _Form(fields, one_click=fields.get("List-Unsubscribe") == ["One-Click"])


def _proof(request: Request, source: str) -> Proof:
    agent = request.headers.get("user-agent")
    return Proof(
        source,
        ip=None if request.client is None else request.client.host[:45],
        user_agent=None if agent is None else agent[:MAX_AGENT],
    )


def _there(links: ConsentLinks | None) -> ConsentLinks:
    if links is None:
        raise Conflict("Links need a key: CONCERT_CONSENT_KEY_FILE names its file.")
    return links


def _url(links: ConsentLinks | None, path: str, token: str) -> str:
    return _there(links).url + path.format(token=token)


def _seconds(text: str) -> int:
    period = parse_period(text)
    days = 0 if period is None else period.months * 31 + period.days
    if not 0 < days <= MAX_DAYS:
        message = "a period from P1D to P2Y is needed"
        raise Unprocessable(message, [Problem("expires_in", "period", message)])
    return days * 86_400
