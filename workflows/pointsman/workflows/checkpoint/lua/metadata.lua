local known = checkpoint(row(a.ns, a.id))
return known and (known.metadata or '')
