"""A hello agent on the A2A SDK: protocol 1.0 and 0.3, over JSON-RPC (`/`) and HTTP+JSON.

It answers a text with a text. The first word asks for something harder:
`task ...` answers with a task that completes, `fail ...` with a task that fails,
`slow SECONDS ...` waits before it answers.
"""

import argparse
import asyncio
import socket

import uvicorn
from a2a.helpers import new_task_from_user_message, new_text_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import (
    create_agent_card_routes,
    create_jsonrpc_routes,
    create_rest_routes,
)
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from starlette.applications import Starlette


class Hello(AgentExecutor):
    async def execute(self, context, event_queue):
        text = context.get_user_input()
        word, _, rest = text.partition(" ")
        if word == "slow":
            await asyncio.sleep(float(rest.split()[0]))
        if word not in ("task", "fail"):
            await event_queue.enqueue_event(new_text_message(f"Hello! You said: {text}"))
            return
        task = context.current_task or new_task_from_user_message(context.message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        answer = updater.new_agent_message(new_text_message(f"Hello from a task: {rest}").parts)
        await (updater.failed(answer) if word == "fail" else updater.complete(answer))

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def card(url):
    interfaces = [
        AgentInterface(url=url, protocol_binding=binding, protocol_version=version)
        for version in ("1.0", "0.3")
        for binding in ("JSONRPC", "HTTP+JSON")
    ]
    skill = AgentSkill(
        id="hello",
        name="Say hello",
        description="Greets whoever writes and repeats what they said.",
        tags=["greeting", "echo"],
        examples=["hi"],
    )
    return AgentCard(
        name="hello",
        description="Says hello; a test peer of Keiko on the official A2A SDK.",
        version="1.0.0",
        supported_interfaces=interfaces,
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[skill],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=41299, help="0 takes any free port")
    port = parser.parse_args().port
    listener = socket.create_server(("127.0.0.1", port))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    agent_card = card(url)
    handler = DefaultRequestHandler(
        agent_executor=Hello(), task_store=InMemoryTaskStore(), agent_card=agent_card
    )
    routes = [
        *create_agent_card_routes(agent_card),
        *create_jsonrpc_routes(handler, rpc_url="/", enable_v0_3_compat=True),
        *create_rest_routes(handler, enable_v0_3_compat=True),
    ]
    config = uvicorn.Config(Starlette(routes=routes), log_level="warning", timeout_graceful_shutdown=1)
    print(f"listening on {url}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
