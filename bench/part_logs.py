"""logs: FilterLogEvents with a term over one group of 1,000,000 lines (about 120 MB), all pages that a client asks for; and what else people ask of such a group.

The files are written as functions' output would be (serials, streams of 200 instances, times a millisecond apart); the server then finds them. `first` is the
first question after the start, which also makes the group's index; the others are medians. Times are the client's own (boto3, its JSON included).
"""
import os
import statistics
import time

LINES, STREAMS, FILE_BYTES = 1000000, 200, 16 * 1024 * 1024
GROUP = "/aws/lambda/bench"
HIT_EVERY = 50000


def write_group(data, lines, now_ms):
    directory = data / "logs" / GROUP.replace("/", "%2F")
    directory.mkdir(parents=True)
    streams = [f"2024/01/31/[$LATEST]{i:032x}" for i in range(STREAMS)]
    serial, size, out, total = 1, 0, open(directory / "00000001.log", "wb"), 0
    for i in range(lines):
        word = "NEEDLE" if i % HIT_EVERY == HIT_EVERY // 2 else "thread"
        line = f"{now_ms - lines + i}\t{streams[i % STREAMS]}\trequest {i:08d} {word} took 12 ms of its time\\n\n".encode()
        if size + len(line) > FILE_BYTES:
            out.close()
            serial, size = serial + 1, 0
            out = open(directory / f"{serial:08d}.log", "wb")
        out.write(line)
        size += len(line)
        total += len(line)
    out.close()
    return total


def pages(client, **query):
    began, events, token, count = time.perf_counter(), [], None, 0
    while True:
        answer = client.filter_log_events(logGroupName=GROUP, **query, **({"nextToken": token} if token else {}))
        events += answer["events"]
        count += 1
        token = answer.get("nextToken")
        if token is None:
            return (time.perf_counter() - began) * 1000, events, count


def measure(bench):
    lines = LINES // 10 if bench.options.quick else LINES
    server = bench.hearth()
    try:
        server.stop()
        now_ms = int(time.time() * 1000)
        size = write_group(server.data, lines, now_ms)
        owner = os.stat(server.data / "hearth.db")
        for root, directories, files in os.walk(server.data / "logs"):   # the server's user, as it would have made them
            for name in [*directories, *files]:
                os.chown(os.path.join(root, name), owner.st_uid, owner.st_gid)
        server.start()
        client = server.client("logs")
        client.describe_log_groups()
        first, found, _ = pages(client, filterPattern="NEEDLE")
        assert len(found) == lines // HIT_EVERY, len(found)
        rounds = 3 if bench.options.quick else bench.options.rounds
        rare = [pages(client, filterPattern="NEEDLE")[0] for _ in range(rounds)]
        absent = [pages(client, filterPattern='"no such phrase"')[0] for _ in range(rounds)]
        last = [pages(client, startTime=now_ms - 1000)[0] for _ in range(rounds)]
        began = time.perf_counter()
        client.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True)
        streams_ms = (time.perf_counter() - began) * 1000
        return {"FilterLogEvents": {"lines": lines, "MB": round(size / 1e6), "first_ms": round(first, 1), "rare_term_ms": round(statistics.median(rare), 1),
                                    "absent_phrase_ms": round(statistics.median(absent), 1), "last_second_ms": round(statistics.median(last), 1),
                                    "describe_streams_ms": round(streams_ms, 1)}}
    finally:
        server.close(check=False)
