// Errors as Lambda's Node.js runtime names, reports and prints them.
// Source: behaviour of aws/aws-lambda-nodejs-runtime-interface-client 3.3 (Node 18 to 22) and 4 (Node 24).
'use strict';

const { isNativeError } = require('util').types;

function kind(name) {
  const made = { [name]: class extends Error {} }[name];
  made.prototype.name = `Runtime.${name}`;
  return made;
}

const ImportModuleError = kind('ImportModuleError');
const HandlerNotFound = kind('HandlerNotFound');
const MalformedHandlerName = kind('MalformedHandlerName');
const UserCodeSyntaxError = kind('UserCodeSyntaxError');
const CallbackHandlerDeprecated = kind('CallbackHandlerDeprecated');
const InvalidStreamingOperation = kind('InvalidStreamingOperation');
const JSONStringifyError = kind('JSONStringifyError');
const NodeJsExit = kind('NodeJsExit');
const UnhandledPromiseRejection = kind('UnhandledPromiseRejection');

const nodeJsExit = () =>
  new NodeJsExit(
    'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes',
  );

function unhandledRejection(reason, promise) {
  const error = new UnhandledPromiseRejection(readable(reason));
  error.reason = reason;
  error.promise = promise;
  return error;
}

// What a stranger threw may refuse to become a string: an object without a prototype does.
function readable(thrown) {
  try {
    return String(thrown);
  } catch {
    return 'an object that cannot be shown';
  }
}

// Objects from another context, or of a library's own making, are errors when they look like one.
function looksLikeError(thrown) {
  return (
    isNativeError(thrown) ||
    (thrown &&
      [thrown.name, thrown.message, thrown.stack].every((text) => text !== '' && typeof text === 'string'))
  );
}

// DEL may not stand in an HTTP header, where Lambda carries the type: it shows it escaped.
const escaped = (text) => text?.replaceAll('\x7F', '%7F');

/** The error as the caller gets it. */
function toAnswer(thrown) {
  try {
    if (looksLikeError(thrown)) {
      return {
        errorType: escaped(thrown.name),
        errorMessage: escaped(thrown.message),
        trace: escaped(thrown.stack).split('\n'),
      };
    }
    return { errorType: typeof thrown, errorMessage: thrown.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

const toError = (thrown) => (thrown instanceof Error ? thrown : new Error(readable(thrown)));

/** The error as the log shows it: JSON behind a tab. */
function toLogged(error) {
  try {
    return '\t' + JSON.stringify(error, (_key, value) => (value instanceof Error ? shown(value) : value));
  } catch {
    return '\t' + JSON.stringify(toAnswer(error)); // a circular property, or a BigInt
  }
}

// An error's name, message and stack are not enumerable: JSON.stringify would leave them out.
function shown(error) {
  const all = { errorType: error.name, errorMessage: error.message, code: error.code, ...error };
  if (typeof error.stack === 'string') all.stack = error.stack.split('\n');
  return all;
}

module.exports = {
  ImportModuleError, HandlerNotFound, MalformedHandlerName, UserCodeSyntaxError, CallbackHandlerDeprecated,
  InvalidStreamingOperation, JSONStringifyError, nodeJsExit, unhandledRejection, toAnswer, toError, toLogged,
};
