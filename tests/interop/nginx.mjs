// Debian's nginx as a reverse proxy before a host, without privileges: its own folder, on loopback, with nothing set
// that is not in `location`.
import { execFileSync, spawn } from 'node:child_process'
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './host.mjs'
import { until, within } from './waiting.mjs'

const NOBODY = 65534
const running = new Set()
process.on('exit', () => { for (const nginx of running) nginx.signal('SIGKILL') })

/**
 * A proxy before `host`. It has the `url`, `ws` and `state` that clients want of a host. `location` is what stands
 * beside `proxy_pass`; with `tls` it serves HTTPS with HTTP/2, and `ca` is the certificate to trust.
 */
export class Nginx {
  static async up (host, { location = '', tls = false } = {}) {
    const nginx = new this()
    nginx.port = await freePort()
    nginx.folder = mkdtempSync(join(tmpdir(), 'yonder-nginx-'))
    mkdirSync(join(nginx.folder, 'temp'))
    if (tls) nginx.ca = certificate(nginx.folder)
    writeFileSync(join(nginx.folder, 'nginx.conf'), configuration(nginx.port, host.url, location, tls))
    nginx.url = `http${tls ? 's' : ''}://127.0.0.1:${nginx.port}`
    nginx.ws = nginx.url.replace(/^http/, 'ws') + '/ws'
    await nginx.start()
    return nginx
  }

  async start () {
    const user = process.getuid() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
    if (user.uid) for (const path of ['', 'temp', 'nginx.conf', ...(this.ca ? ['key.pem', 'cert.pem'] : [])]) chownSync(join(this.folder, path), NOBODY, NOBODY)
    this.output = ''
    this.child = spawn(process.env.NGINX || 'nginx', ['-p', this.folder, '-c', 'nginx.conf', '-e', 'stderr', '-g', 'daemon off;'], {
      ...user, detached: true, cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe']
    })
    running.add(this)
    this.child.stderr.on('data', chunk => { this.output = (this.output + chunk).slice(-20_000) })
    this.exit = new Promise(resolve => {
      this.child.once('error', error => { this.output += error; running.delete(this); resolve() })
      this.child.once('exit', () => { running.delete(this); resolve() })
    })
    await until(() => {
      if (!running.has(this)) throw new Error(this.state)
      return listening(this.port)
    }, () => `nginx listens; ${this.state}`)
  }

  async down () {
    this.signal('SIGTERM')
    await within(this.exit, () => `nginx ends on SIGTERM; ${this.state}`)
    rmSync(this.folder, { recursive: true, force: true })
  }

  get state () {
    return `nginx ${running.has(this) ? 'runs' : 'is gone'}; it said: ${this.output || 'nothing'}`
  }

  signal (signal) {
    try {
      process.kill(-this.child.pid, signal)
    } catch (error) {
      if (error.code !== 'ESRCH') throw error
    }
  }
}

function configuration (port, upstream, location, tls) {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(kind => `${kind}_temp_path temp/${kind};`).join('\n  ')
  const certificate = 'ssl_certificate cert.pem;\n    ssl_certificate_key key.pem;'
  return `pid nginx.pid;
error_log stderr error;
events {}
http {
  access_log off;
  ${temp}
  server {
    listen 127.0.0.1:${port}${tls ? ' ssl http2' : ''};
    ${tls ? certificate : ''}
    location / {
      proxy_pass ${upstream};
      ${location}
    }
  }
}
`
}

/** Makes `cert.pem` and `key.pem` for 127.0.0.1; gives the certificate. */
function certificate (folder) {
  execFileSync('openssl', ['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-days', '2',
    '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', 'key.pem', '-out', 'cert.pem'], { cwd: folder, stdio: 'pipe' })
  return readFileSync(join(folder, 'cert.pem'))
}

function listening (port) {
  return new Promise(resolve => {
    const socket = createConnection(port, '127.0.0.1', () => { socket.destroy(); resolve(true) })
    socket.once('error', () => resolve(false))
  })
}
