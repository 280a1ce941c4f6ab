"""In which order the records of LangChain's class for Kafka are read. No broker runs here."""

import json
import random

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage, message_to_dict

from backscroll_langchain.kafka_cluster import Record
from backscroll_langchain.kafka_order import ordered

CALL = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])
TURN = [HumanMessage("q"), CALL, ToolMessage("r", tool_call_id="1"), AIMessage("a")]


def spread(messages: list[BaseMessage], times: list[int], partitions: list[int]) -> list[Record]:
    """What the log gets of messages that were written at these times into these partitions."""
    offsets = [partitions[:place].count(partition) for place, partition in enumerate(partitions)]
    values = [json.dumps(message_to_dict(message)).encode() for message in messages]
    return [Record(*each) for each in zip(partitions, offsets, times, values, strict=True)]


@given(st.lists(st.integers(0, 2), min_size=4, max_size=4), st.randoms(use_true_random=False))
def test_a_turn_of_one_millisecond_is_a_conversation(partitions: list[int], chance: random.Random) -> None:
    """Wherever its messages went."""
    records = spread(TURN, [7] * 4, partitions)
    shuffled = chance.sample(records, len(records))
    assert ordered(shuffled) == records


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), max_size=12), st.randoms(use_true_random=False))
def test_records_come_by_their_time(written: list[tuple[int, int]], chance: random.Random) -> None:
    """Wherever they went, if no two have the same."""
    times = [sum(step for _, step in written[: place + 1]) for place in range(len(written))]
    records = spread([HumanMessage(str(time)) for time in times], times, [partition for partition, _ in written])
    assert ordered(chance.sample(records, len(records))) == records


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from([*TURN, SystemMessage("s")]))))
def test_those_of_one_partition_keep_their_order(written: list[tuple[int, int, BaseMessage]]) -> None:
    """Whatever their times say: clocks are set back."""
    partitions, times = [each[0] for each in written], [each[1] for each in written]
    records = spread([each[2] for each in written], times, partitions)
    found = ordered(records)
    assert sorted(found) == sorted(records)
    for partition in range(3):
        offsets = [record.offset for record in found if record.partition == partition]
        assert offsets == sorted(offsets)


def test_what_cannot_be_read_has_a_place_too() -> None:
    """That of an answer."""
    question = spread([HumanMessage("q")], [1], [2])
    damaged = [Record(0, 0, 1, b"{"), Record(1, 0, 1, b'{"type": 1, "data": 2}')]
    assert ordered([*damaged, *question]) == [*question, *damaged]
