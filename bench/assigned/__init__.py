"""A fleet of a thousand assignments whose control plane really runs, with one real box in it and a crowd of others."""
