// console.*, as Lambda's Node.js runtime prints: a line an entry, with time, request id and level, as text or as JSON.
// Source: AWS Lambda, "Log and monitor Node.js Lambda functions"; aws-lambda-nodejs-runtime-interface-client, LogPatch.
'use strict';

const { format } = require('util');
const { toError, toLogged } = require('./errors.js');

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
// Libraries look the request's id up under this name.
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');

const oneLine = (text) => (text.includes('\n') ? text.replaceAll('\n', '\r') : text);

function textEntry(level, message, rest) {
  const time = new Date().toISOString();
  return `${time}\t${globalThis[REQUEST_ID]}\t${level}\t${format(message, ...rest)}`;
}

const nameOf = (error) => error?.constructor?.name ?? 'UnknownError';

function withErrors(_key, value) {
  if (!(value instanceof Error)) return value;
  const stackTrace = typeof value.stack === 'string' ? value.stack.split('\n') : value.stack;
  return { errorType: nameOf(value), errorMessage: value.message, stackTrace, ...value };
}

function jsonEntry(level, message, rest) {
  const entry = { timestamp: new Date().toISOString(), level, requestId: globalThis[REQUEST_ID] };
  if (rest.length === 0) {
    entry.message = message;
    try {
      return JSON.stringify(entry, withErrors);
    } catch {
      entry.message = format(message); // circular, or a BigInt
      return JSON.stringify(entry);
    }
  }
  entry.message = format(message, ...rest);
  const error = [message, ...rest].find((value) => value instanceof Error);
  if (error) {
    entry.errorType = nameOf(error);
    entry.errorMessage = error.message;
    entry.stackTrace = typeof error.stack === 'string' ? error.stack.split('\n') : [];
  }
  return JSON.stringify(entry);
}

/** Replaces console's methods. `print` writes a string to standard output, wholly, before it returns.
 *  Gives back what the runtime itself logs errors with. */
function patchConsole(print) {
  const json = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
  const wanted = LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase());
  const entry = json ? jsonEntry : textEntry;
  const printer = (level) =>
    LEVELS.indexOf(level) >= wanted
      ? (message, ...rest) => print(oneLine(entry(level, message, rest)) + '\n')
      : () => {};

  for (const level of LEVELS) console[level.toLowerCase()] = printer(level);
  console.log = console.info;

  const error = console.error;
  return json
    ? (_what, thrown) => error(toError(thrown))
    : (what, thrown) => error(what, toLogged(toError(thrown)));
}

const setRequestId = (id) => (globalThis[REQUEST_ID] = id);

module.exports = { patchConsole, setRequestId };
