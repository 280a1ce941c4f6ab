"""Sessions of the OpenAI Agents SDK on any database that backscroll knows."""

from backscroll_openai_agents.items import from_item, to_items
from backscroll_openai_agents.session import BackscrollSession

__all__ = ["BackscrollSession", "from_item", "to_items"]
