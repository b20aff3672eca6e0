"""What networkx says of graphs: reads a list of them as JSON, answers with a list, and ends.

A graph is {"keep_cycles": bool, "edges": [[a, b], ...], "roots": [n, ...]}: a needs b, in the order in
which that is declared. The answer is {"cycles": [...], "affected": [...]}: for each edge the length of the
shortest cycle through a once it is there (0: none; without keep_cycles it is taken away again), and for each
root who needs it: {"order": [...] or null, "distances": [[n, distance], ...]}.
"""

import json
import sys

import networkx as nx


def cycle_through(graph, node):
    lengths = nx.single_source_shortest_path_length(graph, node)
    return min((lengths[last] + 1 for last in graph.predecessors(node) if last in lengths), default=0)


def affected(graph, root):
    needing = nx.descendants(graph, root)
    lengths = nx.single_source_shortest_path_length(graph, root)
    try:
        order = list(nx.lexicographical_topological_sort(graph.subgraph(needing)))
    except nx.NetworkXUnfeasible:
        order = None
    return {"order": order, "distances": [[node, lengths[node]] for node in sorted(needing)]}


def answer(asked):
    # Edges point from what is needed to who needs it: the way in which things break.
    graph = nx.DiGraph()
    graph.add_nodes_from(asked["roots"])
    cycles = []
    for needing, needed in asked["edges"]:
        is_new = not graph.has_edge(needed, needing)
        graph.add_edge(needed, needing)
        cycles.append(cycle_through(graph, needing))
        is_dag = nx.is_directed_acyclic_graph(graph)
        if not asked["keep_cycles"]:
            assert is_dag == (cycles[-1] == 0)
            if not is_dag and is_new:
                graph.remove_edge(needed, needing)
    return {"cycles": cycles, "affected": [affected(graph, root) for root in asked["roots"]]}


if __name__ == "__main__":
    json.dump([answer(asked) for asked in json.load(sys.stdin)], sys.stdout)
