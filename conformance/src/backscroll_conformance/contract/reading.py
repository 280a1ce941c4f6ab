"""Reading: bounds, limits and pages; damaged records."""

from typing import Any

from backscroll import Message, Unreadable
from backscroll.backend import PAGE_BYTES, Capability, Page
from backscroll_conformance.clauses import clause
from backscroll_conformance.expect import equal, true
from backscroll_conformance.subject import Subject, messages, numbered

LAST_SEQ = (1 << 63) - 1

MOST_LARGE = 300
"""How many large messages are appended at the most, where the limits do not let them be large."""


@clause("RDG-001")
async def bounds(s: Subject) -> None:
    """The bounds of a read MUST be exclusive in both directions, also where no message stands at them."""
    session_id = s.session()
    seqs = await _filled(s, session_id, 9)
    if s.capabilities[Capability.REMOVE]:
        await s.store.remove(session_id, [seqs[2], seqs[6]])
        seqs_left = [seq for seq in seqs if seq not in (seqs[2], seqs[6])]
    else:
        seqs_left = seqs
    for after in (None, -1, *seqs):
        for before in (None, *seqs, seqs[-1] + 1):
            expected = [seq for seq in seqs_left if (after is None or seq > after) and (before is None or seq < before)]
            for newest in (False, True):
                found = await s.store.read(session_id, after=after, before=before, newest=newest)
                equal(
                    [r.seq for r in found],
                    expected,
                    f"the seqs of read({after=}, {before=}, {newest=}) over {seqs_left}",
                )


@clause("RDG-002")
async def newest(s: Subject) -> None:
    """A read of the newest MUST give the last ones within the bounds, in the order in which they were appended."""
    session_id = s.session()
    seqs = await _filled(s, session_id, 9)
    for limit in (1, 2, 5, 9, 20):
        found = await s.store.read(session_id, limit=limit, newest=True)
        equal([r.seq for r in found], seqs[-limit:], f"the seqs of the newest {limit}")
        found = await s.store.read(session_id, before=seqs[6], limit=limit, newest=True)
        equal([r.seq for r in found], seqs[:6][-limit:], f"the seqs of the newest {limit} before the seventh")


@clause("RDG-003")
async def limits(s: Subject) -> None:
    """A read MUST give as many messages as its limit where there are so many, and never more."""
    session_id = s.session()
    seqs = await _filled(s, session_id, 1_205, at_once=241)
    for limit in (1, 2, 3, 7, 20, 99, 100, 101, 999, 1_000, 1_001, 1_204, 1_205, 1_206):
        found = await s.store.read(session_id, limit=limit)
        equal([r.seq for r in found], seqs[:limit], f"the seqs of the first {limit}")
        found = await s.store.read(session_id, limit=limit, newest=True)
        equal([r.seq for r in found], seqs[-limit:], f"the seqs of the newest {limit}")
    for limit in (1, 2, 3, 5, 8):
        equal(await _walked(s, session_id, seqs[11], limit), seqs[:11], f"the seqs by pages of {limit}")


@clause("RDG-004")
async def last(s: Subject) -> None:
    """The last k MUST be the newest k messages, in the order in which they were appended."""
    session_id = s.session()
    texts = numbered(30)
    for start in range(0, 30, 3):
        await s.store.append(session_id, messages(*texts[start : start + 3]))
        for k in (1, 2, 20):
            found = [r.message.content for r in await s.store.last(session_id, k)]
            equal(found, texts[: start + 3][-k:], f"the last {k} of {start + 3}")


@clause("RDG-005")
async def iterate(s: Subject) -> None:
    """Iterating MUST give each message once and in order, however many pages it takes."""
    session_id = s.session()
    texts = numbered(2_503)
    await s.fill(session_id, texts)
    found = await s.texts(session_id)
    equal(len(found), len(texts), "how many messages came")
    equal(found, texts, "the texts")
    records = await s.everything(session_id)
    rest = await s.everything(session_id, after=records[1_300].seq)
    equal([r.seq for r in rest], [r.seq for r in records[1_301:]], "the seqs after one in the middle")


@clause("RDG-006")
async def page_bytes(s: Subject) -> None:
    """A page MUST end after about PAGE_BYTES of bodies, so that memory stays bounded."""
    session_id = s.session()
    size = min(s.limits.max_message_bytes, s.limits.max_turn_bytes, PAGE_BYTES // 4) - 1_000
    count = min(MOST_LARGE, 3 * PAGE_BYTES // size)
    for _ in range(count):
        await s.store.append(session_id, messages("x" * size))
    for newest in (False, True):
        page: Page = await s.backend.read(session_id, s.window(1_000, newest=newest), s.deadline())
        held = sum(len(row.body) for row in page.rows)
        true(held <= 2 * PAGE_BYTES, f"a page holds {held:,} bytes of bodies ({newest=}), over twice PAGE_BYTES")
        is_all = len(page.rows) == count
        true(page.resume is not None or is_all, f"a page of {held:,} bytes says that there is no more")
    equal(len(await s.texts(session_id)), count, "how many messages iterate gives")


@clause("RDG-007")
async def far_bounds(s: Subject) -> None:
    """Bounds beyond every seq MUST be bounds like others."""
    session_id = s.session()
    seqs = await _filled(s, session_id, 3)
    for far in (seqs[-1] + 1, 1 << 31, 1 << 32, 1 << 53, 1 << 62, LAST_SEQ):
        if far <= seqs[-1]:
            continue
        for newest in (False, True):
            equal(await s.store.read(session_id, after=far, newest=newest), [], f"what lies after {far}")
            found = await s.store.read(session_id, before=far, newest=newest)
            equal([r.seq for r in found], seqs, f"the seqs before {far}")


@clause("RDG-008")
async def owned(s: Subject) -> None:
    """What a call was given or returned MUST belong to the caller: changing it changes nothing that is stored."""
    session_id = s.session()
    parts = [{"type": "text", "text": "as given"}]
    await s.store.append(session_id, Message("user", parts))
    parts[0]["text"] = "changed"
    for _ in range(2):
        (record,) = await s.store.last(session_id)
        equal(record.message.content, [{"type": "text", "text": "as given"}], "the message")
        record.message.content[0]["text"] = "changed"
    for _ in range(2):
        rows = 0
        async for page in s.pages(session_id):
            rows += len(page.rows)
            page.rows.clear()
        equal(rows, 1, "how many rows the pages have, after those of earlier pages were cleared")


@clause("UNR-001")
async def unreadable(s: Subject) -> None:
    """A damaged record MUST come back in its place with its bytes, and hide none of its neighbours."""
    session_id = s.session()
    damaged = await _damaged(s, session_id)
    for found in (await s.store.read(session_id), await s.everything(session_id), await s.store.last(session_id, 100)):
        equal([_shape(record) for record in found], damaged, "the records")


@clause("UNR-002")
async def unreadable_counts(s: Subject) -> None:
    """A damaged record MUST count for the limit of a read like any other."""
    session_id = s.session()
    damaged = await _damaged(s, session_id)
    for limit in range(1, len(damaged) + 1):
        found = await s.store.read(session_id, limit=limit)
        equal([_shape(record) for record in found], damaged[:limit], f"the first {limit} records")
        found = await s.store.last(session_id, limit)
        equal([_shape(record) for record in found], damaged[-limit:], f"the last {limit} records")


async def _filled(s: Subject, session_id: str, count: int, at_once: int = 3) -> list[int]:
    """Append numbered messages; gives their seqs."""
    return await s.fill(session_id, numbered(count), at_once)


async def _walked(s: Subject, session_id: str, before: int, limit: int) -> list[int]:
    """The seqs below a bound, page by page upward."""
    seqs: list[int] = []
    while True:
        after = seqs[-1] if seqs else None
        found = await s.store.read(session_id, after=after, before=before, limit=limit)
        true(len(found) <= limit, f"a read with limit {limit} gave {len(found)} messages")
        if not found:
            return seqs
        seqs += [record.seq for record in found]


async def _damaged(s: Subject, session_id: str) -> list[Any]:
    """A session with damaged records among good ones; gives the shape of each."""
    good = [s.turn(f"good {number}") for number in range(3)]
    bad = (b"{damaged", b"\xff\xfe", b"{}", b'{"v":999}')
    bodies = [good[0].bodies[0], bad[0], bad[1], good[1].bodies[0], bad[2], good[2].bodies[0], bad[3]]
    for body in bodies:
        turn = s.turn("")
        await s.backend.append(session_id, type(turn)(turn.turn_id, turn.digest, (body,)), s.deadline())
    return ["good 0", bad[0], bad[1], "good 1", bad[2], "good 2", bad[3]]


def _shape(record: Any) -> Any:
    return bytes(record.body) if isinstance(record, Unreadable) else record.message.content
