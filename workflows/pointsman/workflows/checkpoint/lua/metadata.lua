return get(row('m', a.ns, a.id))
