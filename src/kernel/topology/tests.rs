//! Hosts as sysfs shows them, reduced to the files that are read.

use super::*;

/// A sysfs below a folder of its own, removed in the end.
struct Sys(PathBuf);

impl Sys {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("provost-topology-{name}-{}", std::process::id())))
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join("devices/system").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{text}\n")).unwrap();
    }

    /// CPUs that share a core, and those that share its caches of each level.
    fn core(&self, cpus: &str, caches: &[(u32, &str)]) {
        for cpu in cpus.parse::<CpuSet>().unwrap().iter() {
            self.write(&format!("cpu/cpu{cpu}/topology/thread_siblings_list"), cpus);
            for (index, (level, shared)) in caches.iter().enumerate() {
                let folder = format!("cpu/cpu{cpu}/cache/index{index}");
                self.write(&format!("{folder}/level"), &level.to_string());
                self.write(&format!("{folder}/shared_cpu_list"), shared);
            }
        }
    }

    fn read(&self, online: &str) -> String {
        self.write("cpu/online", online);
        let topology = read(&self.0, &online.parse().unwrap());
        let core = |core: &Core| format!("{} cache {} node {}", core.cpus, core.cache, core.node);
        let cores: Vec<String> = topology.cores.iter().map(core).collect();
        format!("{}; isolated {}", cores.join(", "), topology.isolated)
    }
}

impl Drop for Sys {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_guest_without_caches_has_one_domain_for_each_node() {
    let sys = Sys::new("guest");
    sys.core("0", &[]);
    sys.core("1", &[]);
    assert_eq!(sys.read("0-1"), "0 cache 0 node 0, 1 cache 0 node 0; isolated ");
    sys.write("node/node0/cpulist", "0");
    sys.write("node/node1/cpulist", "1");
    assert_eq!(sys.read("0-1"), "0 cache 0 node 0, 1 cache 1 node 1; isolated ");
}

#[test]
fn a_host_that_tells_nothing_is_flat() {
    let sys = Sys::new("silent");
    sys.write("cpu/online", "2-3");
    let online: CpuSet = "2-3".parse().unwrap();
    assert_eq!(read(&sys.0, &online), Topology::flat(&online));
}

#[test]
fn threads_of_a_core_are_one() {
    let sys = Sys::new("smt");
    for cpu in 0..4 {
        let threads = format!("{cpu},{}", cpu + 4);
        sys.core(&threads, &[(1, &threads), (1, &threads), (2, &threads), (3, "0-7")]);
    }
    sys.write("cpu/isolated", "3,7");
    assert_eq!(
        sys.read("0-7"),
        "0,4 cache 0 node 0, 1,5 cache 0 node 0, 2,6 cache 0 node 0, 3,7 cache 0 node 0; isolated 3,7"
    );
}

#[test]
fn nodes_and_caches_are_told_apart() {
    let sys = Sys::new("numa");
    for cpu in 0..8_u32 {
        let (own, pair) = (cpu.to_string(), format!("{}-{}", cpu / 2 * 2, cpu / 2 * 2 + 1));
        sys.core(&own, &[(1, &own), (2, &own), (3, &pair)]);
    }
    sys.write("node/node0/cpulist", "0-3");
    sys.write("node/node1/cpulist", "4-7");
    // A node of memory alone.
    sys.write("node/node2/cpulist", "");
    assert_eq!(
        sys.read("0-7"),
        "0 cache 0 node 0, 1 cache 0 node 0, 2 cache 2 node 0, 3 cache 2 node 0, \
         4 cache 4 node 1, 5 cache 4 node 1, 6 cache 6 node 1, 7 cache 6 node 1; isolated "
    );
}

#[test]
fn cores_may_differ() {
    let sys = Sys::new("asymmetric");
    sys.core("0-1", &[(2, "0-1"), (3, "0-5")]);
    sys.core("2-3", &[(2, "2-3"), (3, "0-5")]);
    sys.core("4", &[(2, "4-5"), (3, "0-5")]);
    sys.core("5", &[(2, "4-5"), (3, "0-5")]);
    // Behind no third level: the second is the last.
    sys.core("6", &[(1, "6"), (2, "6-7")]);
    sys.core("7", &[(1, "7"), (2, "6-7")]);
    assert_eq!(
        sys.read("0-7"),
        "0-1 cache 0 node 0, 2-3 cache 0 node 0, 4 cache 0 node 0, 5 cache 0 node 0, \
         6 cache 6 node 0, 7 cache 6 node 0; isolated "
    );
}

#[test]
fn what_is_offline_is_no_part() {
    let sys = Sys::new("offline");
    for cpu in 0..2 {
        sys.core(&format!("{cpu},{}", cpu + 2), &[(3, "0-3")]);
    }
    sys.write("cpu/isolated", "0");
    assert_eq!(sys.read("1-2"), "1 cache 1 node 0, 2 cache 1 node 0; isolated ");
}

#[test]
fn siblings_that_contradict_each_other_are_in_one_core_only() {
    let sys = Sys::new("contradiction");
    sys.core("0-1", &[]);
    sys.core("1-2", &[]);
    assert_eq!(sys.read("0-2"), "0-1 cache 0 node 0, 2 cache 0 node 0; isolated ");
}

#[test]
fn a_cpu_that_goes_is_noticed_once() {
    let sys = Sys::new("watch");
    let roots = Roots { sys: sys.0.clone(), ..Roots::host() };
    let mut buffer = Box::new([0; 16 << 10]);
    sys.write("cpu/online", "0-1");
    let mut watch = OnlineWatch::new(&roots);
    assert!(!watch.changed(&mut buffer));
    sys.write("cpu/online", "0");
    assert!(watch.changed(&mut buffer));
    assert!(!watch.changed(&mut buffer));
    sys.write("cpu/online", "0-1");
    assert!(watch.changed(&mut buffer));
}
