// y-partyserver as its README sets it up first: the document is in memory, sockets are the object's own.
import { routePartykitRequest } from 'partyserver'

export { YServer as Document } from 'y-partyserver'

export default {
  fetch: async (request, env) => await routePartykitRequest(request, env) ?? new Response(null, { status: 404 })
}
