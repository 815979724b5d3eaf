// An Express application as it would also listen on a port, wrapped for Lambda by serverless-http.
const express = require('express');
const serverless = require('serverless-http');

const app = express();
app.use(express.json());
app.use(express.text());
let visits = 0;
app.get('/', (req, res) => res.send('Hello from Express'));
app.get('/visits', (req, res) => res.json({ visits: ++visits }));
app.get('/orders/:id', (req, res) => res.set('X-Order', req.params.id).json({ id: req.params.id, query: req.query, agent: req.get('user-agent') }));
app.post('/orders', (req, res) => res.status(201).location('/orders/7').json({ got: req.body }));
app.get('/cookies', (req, res) => res.cookie('a', '1').cookie('b', '2').end());
app.get('/image', (req, res) => res.type('image/png').send(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 255])));
app.get('/fails', () => { throw new Error('inside a route'); });

exports.handler = serverless(app, { binary: ['image/*'] });
