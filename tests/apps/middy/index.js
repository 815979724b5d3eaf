import middy from '@middy/core';
import httpErrorHandler from '@middy/http-error-handler';
import jsonBodyParser from '@middy/http-json-body-parser';

const trail = (label) => ({
  before: (request) => { (request.internal.trail ??= []).push(`before ${label}`); },
  after: (request) => { (request.response.trail ??= [...request.internal.trail]).push(`after ${label}`); },
});

export const handler = middy()
  .use(jsonBodyParser())
  .use(trail('a'))
  .use(trail('b'))
  .use(httpErrorHandler())
  .handler(async (event, context) => {
    if (event.body.fail) throw new TypeError('in the handler');
    return { statusCode: 200, sum: event.body.numbers.reduce((a, b) => a + b, 0), function: context.functionName };
  });
