// The Node.js runtime: loads the user's handler, then takes one invocation after the other off the channel.
//
// The idea (docs/channel.md): between two invocations the main thread blocks in the addon's receive(), which freezes all of the
// user's work as Lambda does. After an answer the event loop turns once, then receive() blocks again.
//
// Two rules of Lambda's decide when an answer goes out:
//   - a handler that returns a promise answers when it settles;
//   - callback(null, result) answers when the event loop is empty, or at once with callbackWaitsForEmptyEventLoop = false.
// Node tells us of the empty loop by 'beforeExit'. A loop that is empty while nobody has answered is the end of the invocation
// too: null for a handler that could still have called back, Runtime.NodeJsExit for an async one.
// Node 24 has neither callbacks nor the waiting, and answers a turn of the loop after the promise has settled.
// Source: behaviour of aws/aws-lambda-nodejs-runtime-interface-client 3.3 (Node 18 to 22) and 4 (Node 24).
'use strict';

const FRAME = { INVOKE: 0x01, STOP: 0x02, READY: 0x11, INIT_FAILED: 0x12, DONE: 0x13, FAILED: 0x14, FATAL: 0x16 };
const SIGNALLED = 0;
// What receive() fills an array with, by index.
const [SEQUENCE, DEADLINE_MS, REQUEST_ID, FUNCTION_ARN, TRACE, CLIENT_CONTEXT, IDENTITY, PAYLOAD, FIELDS] = Array(9).keys();
const EXIT = { IN_ORDER: 0, INIT: 1, UNSETTLED: 13, REJECTION: 128, EXCEPTION: 129 };
const STDOUT = 1;

// The addon stays out of require.cache: user code cannot come by it there.
const addon = { exports: {} };
process.dlopen(addon, require('path').join(__dirname, 'hearth_channel.node'));
const channel = addon.exports;

const { patchConsole, setRequestId } = require('./console.js');
const errors = require('./errors.js');
const { loadHandler } = require('./handler.js');

const NODE_MAJOR = parseInt(/nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV)?.[1] ?? process.versions.node, 10);
const CALLBACKS = NODE_MAJOR < 24;

const logError = patchConsole((text) => channel.print(STDOUT, text));

// One invocation at a time, so one of each of these.
let handler;
let current = null; // the invocation that has not been answered
let whenLoopIsEmpty = null;
let initialised = false;
let terminating = false;

// ---- answering ----

const TOO_LARGE = {
  errorType: 'Function.ResponseSizeTooLarge',
  errorMessage: 'Response payload size exceeded maximum allowed payload size (6291556 bytes).',
};

function sendFailure(type, sequence, answer) {
  const sent = channel.send(type, sequence, JSON.stringify(answer), String(answer.errorType));
  if (sent === 0) channel.send(type, sequence, JSON.stringify(TOO_LARGE), TOO_LARGE.errorType);
  if (sent < 0) process.exit(EXIT.IN_ORDER); // the server is gone
}

function toJson(result) {
  try {
    const json = JSON.stringify(result === undefined ? null : result);
    return json === undefined ? 'null' : json; // a function, or a symbol
  } catch {
    throw new (CALLBACKS ? Error : errors.JSONStringifyError)('Unable to stringify response body');
  }
}

function answer(invocation, result) {
  const json = toJson(result);
  if (current !== invocation) {
    console.error('Invocation has already been reported as done. Cannot call complete more than once per invocation.');
    return;
  }
  current = null;
  const sent = channel.send(FRAME.DONE, invocation.sequence, json);
  if (sent === 0) sendFailure(FRAME.FAILED, invocation.sequence, TOO_LARGE);
  if (sent < 0) process.exit(EXIT.IN_ORDER);
  setImmediate(next);
}

function answerError(invocation, thrown) {
  if (current !== invocation) return;
  current = null;
  logError('Invoke Error', thrown);
  sendFailure(FRAME.FAILED, invocation.sequence, errors.toAnswer(thrown));
  setImmediate(next);
}

// ---- the context object ----

const fixed = {
  functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
  functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
  memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
  logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
  logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
};

function parseContext(json, name) {
  if (json === '') return undefined;
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error}`);
  }
}

// Both contexts are written out, property by property in Lambda's order, since a plain literal is what V8 makes fastest:
// accessors, and one object assigned to another, cost 5 us a call.
function contextOf(fields) {
  const deadlineMs = fields[DEADLINE_MS];
  return {
    functionVersion: fixed.functionVersion,
    functionName: fixed.functionName,
    memoryLimitInMB: fixed.memoryLimitInMB,
    logGroupName: fixed.logGroupName,
    logStreamName: fixed.logStreamName,
    clientContext: parseContext(fields[CLIENT_CONTEXT], 'ClientContext'),
    identity: parseContext(fields[IDENTITY], 'CognitoIdentity'),
    invokedFunctionArn: fields[FUNCTION_ARN],
    awsRequestId: fields[REQUEST_ID],
    tenantId: undefined,
    getRemainingTimeInMillis: () => deadlineMs - Date.now(),
  };
}

/** The callback, and the context with the three functions of old. Only the first call of any of the four counts: `finished`
 *  is set behind the report, so that what could not be reported (a BigInt) may be reported as an error. */
function callbacksOf(invocation, fields) {
  const deadlineMs = fields[DEADLINE_MS];
  let finished = false;
  const done = (error, result) => {
    if (finished) return;
    whenLoopIsEmpty = null;
    if (error !== undefined && error !== null) answerError(invocation, error);
    else answer(invocation, result);
    finished = true;
  };
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    succeed: (result) => done(null, result),
    fail: (error) => done(error ?? 'handled'),
    done,
    functionVersion: fixed.functionVersion,
    functionName: fixed.functionName,
    memoryLimitInMB: fixed.memoryLimitInMB,
    logGroupName: fixed.logGroupName,
    logStreamName: fixed.logStreamName,
    clientContext: parseContext(fields[CLIENT_CONTEXT], 'ClientContext'),
    identity: parseContext(fields[IDENTITY], 'CognitoIdentity'),
    invokedFunctionArn: fields[FUNCTION_ARN],
    awsRequestId: fields[REQUEST_ID],
    tenantId: undefined,
    getRemainingTimeInMillis: () => deadlineMs - Date.now(),
  };
  const callback = (error, result) => {
    if (!context.callbackWaitsForEmptyEventLoop || (error !== undefined && error !== null)) {
      done(error, result);
    } else if (!finished) {
      whenLoopIsEmpty = () => setImmediate(answer, invocation, result);
      finished = true;
    }
  };
  return { callback, context };
}

// ---- the life of an invocation ----

function isAsync(given) {
  return given.constructor?.name === 'AsyncFunction';
}

// The loop has run dry and nobody has answered.
function loopRanDry(invocation) {
  if (isAsync(handler) || !CALLBACKS) answerError(invocation, errors.nodeJsExit());
  else answer(invocation, null);
}

function setTrace(trace) {
  if (trace !== '') process.env._X_AMZN_TRACE_ID = trace;
  else delete process.env._X_AMZN_TRACE_ID;
}

function invokeWithCallbacks(invocation, fields) {
  let callback = (error) => answerError(invocation, error); // until there is the real one
  try {
    let context;
    ({ callback, context } = callbacksOf(invocation, fields));
    const result = handler(JSON.parse(fields[PAYLOAD]), context, callback);
    if (typeof result?.then !== 'function') return;
    const { succeed, fail } = context; // only now: old frameworks put their own in the place of ours
    const settle = (value) => {
      try {
        succeed(value);
      } catch (error) {
        fail(error);
      }
    };
    result.then(settle, fail);
  } catch (error) {
    callback(error);
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function invokeAsync(invocation, fields) {
  try {
    const result = await handler(JSON.parse(fields[PAYLOAD]), contextOf(fields));
    await turn();
    answer(invocation, result);
  } catch (error) {
    await turn();
    answerError(invocation, error);
  }
}

function invoke(fields) {
  if (fields[PAYLOAD] === '') fields[PAYLOAD] = '{}';
  const invocation = { sequence: fields[SEQUENCE] };
  current = invocation;
  whenLoopIsEmpty = () => loopRanDry(invocation);
  setRequestId(fields[REQUEST_ID]);
  setTrace(fields[TRACE]);
  if (CALLBACKS) invokeWithCallbacks(invocation, fields);
  else invokeAsync(invocation, fields);
}

// ---- waiting, and the end ----

function next() {
  if (terminating) return;
  const fields = new Array(FIELDS);
  const came = channel.receive(fields);
  if (came === FRAME.INVOKE) invoke(fields);
  else if (came === SIGNALLED) afterSignal();
  else stop(came === FRAME.STOP);
}

// The user's signal handlers run in the coming turn of the loop. When the signal is SIGTERM and one of them handles it, it
// may need the loop for longer than that (to close a connection): then nothing more is received.
function afterSignal() {
  const onTerm = () => (terminating = true);
  const handled = process.listenerCount('SIGTERM') > 0; // by none: then the process would be dead already
  if (handled) process.prependListener('SIGTERM', onTerm);
  setImmediate(() => {
    process.removeListener('SIGTERM', onTerm);
    next();
  });
}

function stop(asked) {
  terminating = true;
  channel.refuse();
  if (!asked || !process.emit('SIGTERM', 'SIGTERM')) process.exit(EXIT.IN_ORDER);
}

process.on('beforeExit', () => {
  if (terminating) process.exit(EXIT.IN_ORDER);
  if (!initialised) process.exit(EXIT.UNSETTLED); // a top-level await that nothing will ever end: Node's own code for it
  const then = whenLoopIsEmpty;
  whenLoopIsEmpty = null;
  if (then) then();
});

// ---- what nobody caught ----

function dieOf(what, error, code) {
  channel.refuse();
  logError(what, error);
  const reported = errors.toAnswer(error);
  if (!initialised) {
    sendFailure(FRAME.INIT_FAILED, 0, reported);
    process.exit(EXIT.INIT);
  }
  if (current) sendFailure(FRAME.FATAL, current.sequence, reported);
  process.exit(code);
}

process.on('uncaughtException', (error) => dieOf('Uncaught Exception', error, EXIT.EXCEPTION));
process.on('unhandledRejection', (reason, promise) =>
  dieOf('Unhandled Promise Rejection', errors.unhandledRejection(reason, promise), EXIT.REJECTION),
);

// libuv makes the pipes non-blocking when process.stdout or stderr is first touched, and then what does not fit waits for the
// event loop: it would be missing when DONE goes out. The streams are made on demand, as Node does: they cost 4 ms.
function keepBlocking(name) {
  const { get, ...rest } = Object.getOwnPropertyDescriptor(process, name);
  Object.defineProperty(process, name, {
    ...rest,
    get() {
      const stream = get.call(process);
      stream._handle?.setBlocking?.(true);
      Object.defineProperty(process, name, { ...rest, get: () => stream });
      return stream;
    },
  });
}

async function main() {
  keepBlocking('stdout');
  keepBlocking('stderr');
  const started = process.hrtime.bigint();
  try {
    const root = process.env.LAMBDA_TASK_ROOT;
    process.chdir(root);
    handler = await loadHandler(root, process.env._HANDLER, NODE_MAJOR);
  } catch (error) {
    dieOf(CALLBACKS ? 'Uncaught Exception' : 'Init Error', error, EXIT.INIT);
  }
  initialised = true;
  channel.send(FRAME.READY, 0, Number((process.hrtime.bigint() - started) / 1000n));
  setImmediate(next);
}

main();
