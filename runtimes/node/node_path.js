// `import` of a package looks into NODE_PATH, too, where layers are. Node itself does so for require() alone; Lambda's Node.js 18 and later
// for both ("Node.js 18.x runtime now available in AWS Lambda", AWS Compute Blog, 2022).
'use strict';

const fs = require('fs');
const module_ = require('module');
const path = require('path');
const { pathToFileURL } = require('url');

const RUNTIME = '/var/runtime/node_modules'; // the SDK: a layer's copy wins over it
const NOT_FOUND = 'ERR_MODULE_NOT_FOUND';

const directories = (process.env.NODE_PATH || '')
  .split(path.delimiter)
  .filter((directory) => path.basename(directory) === 'node_modules' && fs.existsSync(directory));
// A file beside each of them: who imports from there finds what is in it, by Node's own rules (exports, conditions).
const importers = directories.map((directory) => pathToFileURL(path.join(path.dirname(directory), '_')).href);
const runtime = pathToFileURL(RUNTIME).href;

// The importers to try after `found`, Node's own answer (null: none). Nothing where that stands: it is nearer, or the SDK's own.
function others(specifier, context, found) {
  const bare = !/^(\.{0,2}\/|[a-z][a-z0-9+.-]*:|#)/i.test(specifier);
  const here = context.parentURL || '';
  if (!bare || (found && (!found.url.startsWith(runtime) || here.startsWith(runtime)))) return [];
  return importers;
}

function resolveSync(specifier, context, next) {
  if (!context.conditions.includes('import')) return next(specifier, context); // require() knows NODE_PATH
  let found = null;
  let failed;
  try {
    found = next(specifier, context);
  } catch (error) {
    if (error.code !== NOT_FOUND) throw error;
    failed = error;
  }
  for (const parentURL of others(specifier, context, found)) {
    try {
      return next(specifier, { ...context, parentURL });
    } catch (error) {
      if (error.code !== NOT_FOUND) throw error;
    }
  }
  if (found) return found;
  throw failed;
}

// The same, for Node's thread of hooks.
async function resolve(specifier, context, next) {
  let found = null;
  let failed;
  try {
    found = await next(specifier, context);
  } catch (error) {
    if (error.code !== NOT_FOUND) throw error;
    failed = error;
  }
  for (const parentURL of others(specifier, context, found)) {
    try {
      return await next(specifier, { ...context, parentURL });
    } catch (error) {
      if (error.code !== NOT_FOUND) throw error;
    }
  }
  if (found) return found;
  throw failed;
}

/** Costs nothing where no layer brings packages: the SDK alone is found in a directory above. */
function searchNodePath() {
  if (directories.every((directory) => directory === RUNTIME)) return;
  if (module_.registerHooks) module_.registerHooks({ resolve: resolveSync });
  else module_.register(pathToFileURL(__filename).href);
}

exports.resolve = resolve;
exports.searchNodePath = searchNodePath;
