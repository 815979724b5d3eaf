// The handler that is measured: as a function in Hearth, and behind plain node:http (peer_node_http.js). It reads its event and answers a little JSON.
exports.handler = async (event) => ({ statusCode: 200, hello: event.name, sum: event.items.reduce((sum, item) => sum + item.price * item.count, 0) });
