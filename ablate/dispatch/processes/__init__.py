"""Workers on this host: in processes of their own, or in this one."""
