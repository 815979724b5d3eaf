"""The context object and the environment of Node.js functions."""

import json
import time

from instance import ARN, REQUEST_ID


def test_the_whole_context_object(node):
    instance = node.start("exports.handler = async (event, context) => ({...context, "
                          "left: typeof context.getRemainingTimeInMillis, identity: context.identity ?? 'none', "
                          "clientContext: context.clientContext ?? 'none', has: 'tenantId' in context})").ready()
    assert instance.answer() == {
        **({"callbackWaitsForEmptyEventLoop": True} if node.major < 24 else {}),
        "functionName": "hello", "functionVersion": "$LATEST", "memoryLimitInMB": "256", "invokedFunctionArn": ARN,
        "logGroupName": "/aws/lambda/hello", "logStreamName": "2026/11/23/[$LATEST]0123456789abcdef",
        "awsRequestId": REQUEST_ID, "left": "function", "identity": "none", "clientContext": "none", "has": True}


def test_the_time_that_is_left_is_that_until_the_deadline(node):
    instance = node.start("exports.handler = async (event, context) => context.getRemainingTimeInMillis()").ready()
    assert 590_000 < instance.answer(deadline_ms=int(time.time() * 1000) + 600_000) <= 600_000
    assert instance.answer(deadline_ms=int(time.time() * 1000) - 1000) < 0


def test_client_context_and_identity_are_objects(node):
    instance = node.start("exports.handler = async (event, context) => [context.clientContext, context.identity]").ready()
    client, identity = {"client": {"app_title": "ä"}, "custom": {"a": "1"}}, {"cognitoIdentityId": "us-east-1:1"}
    assert instance.answer(client_context=json.dumps(client, ensure_ascii=False), identity=json.dumps(identity)) == [client, identity]
    assert instance.failure(client_context="{")["errorMessage"].startswith("Cannot parse ClientContext as json: SyntaxError")
    assert instance.answer() == [None, None]


def test_the_trace_is_in_the_environment_of_its_own_invocation_only(node):
    instance = node.start("exports.handler = async () => process.env._X_AMZN_TRACE_ID ?? 'none'").ready()
    assert instance.answer(trace="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1").startswith("Root=1-5759e988")
    assert instance.answer() == "none"


def test_libraries_find_the_request_id_where_lambda_has_it(node):
    instance = node.start("exports.handler = async () => globalThis[Symbol.for('aws.lambda.runtime.requestId')]").ready()
    assert instance.answer() == REQUEST_ID
    assert instance.answer(request_id="another") == "another"


def test_what_lambda_functions_use_of_node_works(node):
    instance = node.start("""
const { Worker } = require('worker_threads'); const { AsyncLocalStorage } = require('async_hooks');
const fs = require('fs/promises'); const zlib = require('zlib'); const crypto = require('crypto'); const cp = require('child_process');
exports.handler = async () => {
  const store = new AsyncLocalStorage();
  const worker = new Worker('require("worker_threads").parentPort.postMessage("worked")', {eval: true});
  return {
    worker: await new Promise((done) => worker.once('message', done)),
    child: cp.execFileSync('/bin/echo', ['child']).toString(),
    spawned: await new Promise((done) => cp.exec('echo spawned', (e, out) => done(out))),
    store: await store.run(7, async () => { await null; return store.getStore() }),
    file: (await fs.readFile(__filename, 'utf8')).length > 0,
    zip: zlib.gunzipSync(zlib.gzipSync('zip')).toString(),
    key: (await new Promise((done, fail) => crypto.scrypt('a', 'b', 8, (e, k) => e ? fail(e) : done(k)))).length,
    fetch: typeof fetch, stdin: await new Promise((done) => process.stdin.once('end', () => done('ended')).resume()),
  };
};""").ready()
    assert instance.answer() == {"worker": "worked", "child": "child\n", "spawned": "spawned\n", "store": 7, "file": True,
                                 "zip": "zip", "key": 8, "fetch": "function", "stdin": "ended"}
