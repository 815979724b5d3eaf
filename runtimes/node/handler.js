// Finds the user's handler: "dir/module.path.to.function" below the task's root, as a CommonJS or an ES module.
// Source: behaviour of aws/aws-lambda-nodejs-runtime-interface-client, UserFunction.
'use strict';

const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');
const { pathToFileURL } = require('url');
const errors = require('./errors.js');
const { searchNodePath } = require('./node_path.js');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const CALLBACKS_REMOVED =
  'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
  'You need to modify this function to use a supported handler signature to use Node.js 24 or later. ' +
  'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';
const NO_STREAMING =
  'response streaming is not supported by Hearth yet: export a handler that returns its answer instead of writing it';

// Not our own require: "Require stack" in an error then shows where the runtime is, not what it is made of.
const requireByUser = createRequire(path.join(__dirname, 'bootstrap.js'));

function parseName(name) {
  if (name.includes('..')) {
    throw new errors.MalformedHandlerName(
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const base = path.basename(name);
  const dot = base.indexOf('.');
  if (dot < 0) throw new errors.MalformedHandlerName('Bad handler');
  return { directory: name.slice(0, name.indexOf(base)), module: base.slice(0, dot), exported: base.slice(dot + 1) };
}

// Whether the nearest package.json above says that .js files are ES modules. None is looked for above a node_modules.
function isModulePackage(directory) {
  for (let at = directory; !at.endsWith('/node_modules'); at = path.dirname(at)) {
    const file = path.join(at, 'package.json');
    if (fs.existsSync(file)) {
      try {
        return JSON.parse(fs.readFileSync(file, 'utf8'))?.type === 'module';
      } catch {
        return false; // Node itself will say what is wrong with it
      }
    }
    if (at === '/') return false;
  }
  return false;
}

// Nothing here is async unless the module is: a CommonJS module is loaded in the same turn of the loop.
function loadModule(root, { directory, module }) {
  const file = path.resolve(root, directory, module);
  if (fs.existsSync(file)) return requireByUser(file);
  if (fs.existsSync(`${file}.js`)) {
    return isModulePackage(path.dirname(file)) ? import(pathToFileURL(`${file}.js`)) : requireByUser(`${file}.js`);
  }
  if (fs.existsSync(`${file}.mjs`)) return import(pathToFileURL(`${file}.mjs`));
  if (fs.existsSync(`${file}.cjs`)) return requireByUser(`${file}.cjs`);
  // A package, from node_modules, a layer or NODE_PATH.
  return requireByUser(requireByUser.resolve(module, { paths: [root, path.join(root, directory)] }));
}

function nested(object, names) {
  return names.split('.').reduce((found, name) => found && found[name], object);
}

// Lambda defines this global before it loads the user's code. Streaming marks a handler; only a marked one is refused.
function defineGlobal() {
  if (['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    streamifyResponse(handler) {
      handler[STREAMING] = 'response';
      return handler;
    },
    HttpResponseStream: {
      from() {
        throw new errors.InvalidStreamingOperation(NO_STREAMING);
      },
    },
  };
}

/** Loads and returns the handler. Throws one of the Runtime errors, or whatever the user's code throws. */
async function loadHandler(root, name, nodeMajor) {
  const where = parseName(name);
  defineGlobal();
  searchNodePath();
  let loaded;
  try {
    loaded = await loadModule(root, where);
  } catch (error) {
    if (error instanceof SyntaxError) {
      const syntax = new errors.UserCodeSyntaxError(error);
      syntax.stack = error.stack; // it names the user's file and line; our own frames would not help anybody
      throw syntax;
    }
    throw error?.code === 'MODULE_NOT_FOUND' ? new errors.ImportModuleError(error) : error;
  }

  let handler = nested(loaded, where.exported);
  if (!handler && nodeMajor >= 24) handler = nested(loaded?.default, where.exported);
  if (!handler) throw new errors.HandlerNotFound(`${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new errors.HandlerNotFound(`${name} is not a function`);
  if (handler[STREAMING]) throw new errors.InvalidStreamingOperation(NO_STREAMING);
  if (nodeMajor >= 24 && handler.length >= 3) throw new errors.CallbackHandlerDeprecated(CALLBACKS_REMOVED);
  return handler;
}

module.exports = { loadHandler };
