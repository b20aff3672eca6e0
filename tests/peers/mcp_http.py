"""An MCP server over streamable HTTP at `/mcp`, on the MCP SDK (stateless era). Prints where it listens."""

import socket
import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("adder")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    if port == 0:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
    print(f"listening on http://127.0.0.1:{port}/mcp", flush=True)
    server.run(transport="streamable-http", host="127.0.0.1", port=port)
