// Node's HTTP parser (llhttp), strict as Node's servers have it, as a second reader of what our proxy forwards.
//
// Standard input has one connection's bytes per line, in base64. Standard output gets one JSON line for each:
// {"requests": [{"method", "target", "fields": [name, value, ...], "body", "complete"}, ...], "error": why parsing stopped or ""}
// with field texts in latin1 and the body in base64.
'use strict';
const { HTTPParser, methods } = require('_http_common');
const NO_BODY_TUNNEL = 2; // what an on-headers callback answers for CONNECT; 0 goes on, also behind an Upgrade that nobody takes

function parse(bytes) {
  const requests = [];
  let current, fields = [], target = '';
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {});
  parser[HTTPParser.kOnHeaders | 0] = (more, url) => { // the first 32 fields, trailers
    fields = fields.concat(more);
    target += url;
  };
  parser[HTTPParser.kOnHeadersComplete | 0] = (major, minor, rest, method, url) => {
    current = { method: methods[method], target: target + (url || ''), fields: fields.concat(rest || []), body: [], complete: false };
    requests.push(current);
    fields = [];
    target = '';
    return current.method === 'CONNECT' ? NO_BODY_TUNNEL : 0;
  };
  parser[HTTPParser.kOnBody | 0] = (buffer, offset, length) => {
    current.body.push(Buffer.from(offset === undefined ? buffer : buffer.subarray(offset, offset + length)));
  };
  parser[HTTPParser.kOnMessageComplete | 0] = () => {
    current.complete = true;
    fields = [];
  };
  let fault = '';
  for (let at = 0; at < bytes.length; ) { // it stops behind an upgrade, which nobody takes here
    const read = parser.execute(bytes.subarray(at));
    if (read instanceof Error || read === 0 || current === undefined || current.method === 'CONNECT') {
      fault = read instanceof Error ? read : at + read < bytes.length ? new Error('bytes behind CONNECT') : '';
      break;
    }
    at += read;
  }
  fault = fault || parser.finish();
  for (const r of requests) {
    r.body = Buffer.concat(r.body).toString('base64');
  }
  return { requests, error: fault instanceof Error ? (fault.code || '') + ' ' + (fault.reason || fault.message) : '' };
}

const input = require('fs').readFileSync(0, 'latin1').split('\n');
const out = [];
for (const line of input) {
  if (line !== '') {
    out.push(JSON.stringify(parse(Buffer.from(line, 'base64'))));
  }
}
process.stdout.write(out.join('\n') + '\n');
